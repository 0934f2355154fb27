//! What a user is told where something cannot go on: what, why, and what to do about it; each with a code that never changes its meaning.

use http::StatusCode;

use crate::pages::{Language, Words};

/// What cannot go on, as far as a user is told. The record says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    BadRequest,
    UnknownClient,
    Redirect,
    PageGone,
    ClientChanged,
    NothingChosen,
    AnswerUnknown,
    AnotherBrowser,
    AnotherUser,
    LoginFailed,
    ProviderDown,
    NotKept,
    DeviceCode,
    NotSignedIn,
}

impl Problem {
    #[cfg(test)]
    pub(crate) const ALL: [Problem; 14] = [
        Problem::BadRequest,
        Problem::UnknownClient,
        Problem::Redirect,
        Problem::PageGone,
        Problem::ClientChanged,
        Problem::NothingChosen,
        Problem::AnswerUnknown,
        Problem::AnotherBrowser,
        Problem::AnotherUser,
        Problem::LoginFailed,
        Problem::ProviderDown,
        Problem::NotKept,
        Problem::DeviceCode,
        Problem::NotSignedIn,
    ];

    pub(crate) fn code(self) -> &'static str {
        match self {
            Problem::BadRequest => "SK3001",
            Problem::UnknownClient => "SK3002",
            Problem::Redirect => "SK3003",
            Problem::PageGone => "SK3004",
            Problem::ClientChanged => "SK3005",
            Problem::NothingChosen => "SK3006",
            Problem::AnswerUnknown => "SK3007",
            Problem::AnotherBrowser => "SK3008",
            Problem::AnotherUser => "SK3009",
            Problem::LoginFailed => "SK3010",
            Problem::ProviderDown => "SK3011",
            Problem::NotKept => "SK3012",
            Problem::DeviceCode => "SK3013",
            Problem::NotSignedIn => "SK3014",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Problem::BadRequest
            | Problem::UnknownClient
            | Problem::Redirect
            | Problem::PageGone
            | Problem::ClientChanged
            | Problem::NothingChosen
            | Problem::AnswerUnknown
            | Problem::DeviceCode => StatusCode::BAD_REQUEST,
            Problem::AnotherBrowser | Problem::AnotherUser | Problem::LoginFailed | Problem::NotSignedIn => {
                StatusCode::FORBIDDEN
            }
            Problem::ProviderDown => StatusCode::BAD_GATEWAY,
            Problem::NotKept => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn words(self, language: Language) -> Words {
        let [title, why, help] = match language {
            Language::English => self.english(),
            Language::Japanese => self.japanese(),
        };
        Words { title, why, help }
    }

    fn english(self) -> [&'static str; 3] {
        match self {
            Problem::BadRequest => [
                "This request cannot be read",
                "A part of it is missing, is too long, or stands there twice.",
                "Go back to the application and connect again. If this stays, tell whoever makes it.",
            ],
            Problem::UnknownClient => [
                "This application is not known here",
                "Nothing could be found out about it: its description could not be fetched, is not what it has to be, or this \
                 application is not accepted here.",
                "Ask your administrator to accept it, and tell them the code below.",
            ],
            Problem::Redirect => [
                "The answer would go to an address that is not the application's",
                "Somebody may have changed the link that brought you here. Nothing was sent anywhere.",
                "Start again from the application itself, and do not follow links that others send you.",
            ],
            Problem::PageGone => [
                "This page is too old",
                "It was shown more than ten minutes ago, or in another browser. Nothing was granted.",
                "Go back to the application and connect again.",
            ],
            Problem::ClientChanged => [
                "The application has changed what it says of itself",
                "It did so while you were asked. Nothing was granted.",
                "Connect again, and look at what the page says then.",
            ],
            Problem::NothingChosen => [
                "Nothing was chosen",
                "An application that may do nothing does not need to be connected.",
                "Go back and tick what it may do, or deny it.",
            ],
            Problem::AnswerUnknown => [
                "Nobody waits for this answer",
                "It was used before, or is more than ten minutes old. Nothing was granted.",
                "Go back to the application and connect again.",
            ],
            Problem::AnotherBrowser => [
                "This was begun in another browser",
                "Whoever agrees must be who signs in. If somebody sent you this link, they wanted to act in your name. Nothing was \
                 granted.",
                "If it was you, connect again and stay in one browser. Otherwise tell your administrator the code below.",
            ],
            Problem::AnotherUser => [
                "Somebody else has signed in",
                "The page that was agreed to named another person. Nothing was granted.",
                "Connect again: the page will then name whoever signs in.",
            ],
            Problem::LoginFailed => [
                "You could not be signed in",
                "The sign-in page refused, or its answer could not be verified. Nothing was granted.",
                "Try again. If this stays, tell your administrator the code below.",
            ],
            Problem::ProviderDown => [
                "The sign-in page cannot be reached at the moment",
                "It does not answer, or does not say where to sign in. Nothing was granted.",
                "Try again in a minute. If this stays, tell your administrator the code below.",
            ],
            Problem::NotKept => [
                "This cannot be done at the moment",
                "What you agree to has to be written down first, and that did not work. Nothing was granted.",
                "Try again in a minute. If this stays, tell your administrator the code below.",
            ],
            Problem::DeviceCode => [
                "This code is not known",
                "It is mistyped, was used before, or is too old.",
                "Look at your device again. If the code there is another one, type that.",
            ],
            Problem::NotSignedIn => {
                ["You are not signed in here", "It was too long ago, or it was in another browser.", "Sign in again."]
            }
        }
    }

    fn japanese(self) -> [&'static str; 3] {
        match self {
            Problem::BadRequest => [
                "このリクエストを読み取れません",
                "必要な部分が欠けているか、長すぎるか、重複しています。",
                "アプリに戻り、もう一度接続してください。繰り返す場合はアプリの開発元にお知らせください。",
            ],
            Problem::UnknownClient => [
                "このアプリは登録されていません",
                "アプリの説明を取得できなかったか、内容に誤りがあるか、ここでは許可されていません。",
                "管理者に下のコードを伝え、許可を依頼してください。",
            ],
            Problem::Redirect => [
                "応答の送り先がこのアプリのものではありません",
                "ここへ来たリンクが書き換えられた可能性があります。どこにも送信していません。",
                "アプリからやり直してください。他人から届いたリンクは開かないでください。",
            ],
            Problem::PageGone => [
                "このページの有効期限が切れています",
                "表示から10分以上たったか、別のブラウザーで表示されたものです。許可は与えられていません。",
                "アプリに戻り、もう一度接続してください。",
            ],
            Problem::ClientChanged => [
                "アプリの説明が変わりました",
                "確認の途中で内容が変わりました。許可は与えられていません。",
                "もう一度接続し、表示される内容を確かめてください。",
            ],
            Problem::NothingChosen => [
                "何も選ばれていません",
                "何も許可しないアプリを接続する必要はありません。",
                "戻って許可する項目を選ぶか、拒否してください。",
            ],
            Problem::AnswerUnknown => [
                "この応答を待っている手続きはありません",
                "すでに使われたか、10分以上前のものです。許可は与えられていません。",
                "アプリに戻り、もう一度接続してください。",
            ],
            Problem::AnotherBrowser => [
                "この手続きは別のブラウザーで始められました",
                "同意する人とサインインする人は同じでなければなりません。このリンクが他人から届いたものなら、あなたになりすまそうとした\
                 可能性があります。許可は与えられていません。",
                "ご自身の操作なら、一つのブラウザーでもう一度接続してください。そうでなければ、下のコードを管理者にお知らせください。",
            ],
            Problem::AnotherUser => [
                "別の人がサインインしました",
                "同意したページには別の人の名前がありました。許可は与えられていません。",
                "もう一度接続してください。サインインした人の名前が表示されます。",
            ],
            Problem::LoginFailed => [
                "サインインできませんでした",
                "サインインページが拒否したか、その応答を検証できませんでした。許可は与えられていません。",
                "もう一度お試しください。繰り返す場合は、下のコードを管理者にお知らせください。",
            ],
            Problem::ProviderDown => [
                "現在サインインページにつながりません",
                "応答がないか、サインインの場所が示されていません。許可は与えられていません。",
                "1分ほどたってからお試しください。繰り返す場合は、下のコードを管理者にお知らせください。",
            ],
            Problem::NotKept => [
                "現在この操作を行えません",
                "同意の内容を記録できませんでした。許可は与えられていません。",
                "1分ほどたってからお試しください。繰り返す場合は、下のコードを管理者にお知らせください。",
            ],
            Problem::DeviceCode => [
                "このコードは見つかりません",
                "入力の誤り、使用済み、または期限切れです。",
                "機器の画面をもう一度確かめ、表示されているコードを入力してください。",
            ],
            Problem::NotSignedIn => [
                "サインインしていません",
                "時間がたったか、別のブラウザーでサインインしています。",
                "もう一度サインインしてください。",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_its_own_code_and_words_in_both_languages() {
        let codes: BTreeSet<_> = Problem::ALL.iter().map(|problem| problem.code()).collect();
        assert_eq!(codes.len(), Problem::ALL.len());
        for problem in Problem::ALL {
            let (english, japanese) = (problem.words(Language::English), problem.words(Language::Japanese));
            assert_ne!(english.title, japanese.title);
            for words in [english.title, english.why, english.help, japanese.title, japanese.why, japanese.help] {
                assert!(words.len() > 10, "{problem:?}");
            }
        }
    }
}

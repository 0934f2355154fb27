//! What pages say, in every language that they speak.

use sekisho_catalog::Impact;

use super::Language;
use crate::client::Mark;

/// One text in all languages. `{}` stands for what is put into it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    english: &'static str,
    japanese: &'static str,
}

impl Said {
    /// The text in this language.
    pub(super) fn to(self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::Japanese => self.japanese,
        }
    }
}

const fn said(english: &'static str, japanese: &'static str) -> Said {
    Said { english, japanese }
}

pub(super) const CONSENT: Said =
    said("Let this application act for you?", "このアプリケーションによる操作を許可しますか?");
pub(super) const APPLICATION: Said = said("The application that asks", "許可を求めているアプリケーション");
pub(super) const CALLS_ITSELF: Said = said("It calls itself", "アプリケーションが名乗っている名前");
pub(super) const VERIFIED: Said = said("verified: {}", "確認済み: {}");
pub(super) const NOT_VERIFIED: Said = said(
    "not verified: it registered itself",
    "未確認: アプリケーションが自分で登録したもので、提供元は確かめられていません",
);
pub(super) const BY_ADMINISTRATOR: Said = said("set up by your administrator", "管理者が設定したアプリケーションです");
pub(super) const WARNINGS: Said = said("Please look closely", "ご注意ください");
pub(super) const ANSWER: Said = said("Where access is given", "アクセス権の渡し先");
pub(super) const TO_HOST: Said = said("Access is given to {}.", "アクセス権は {} に渡されます。");
pub(super) const TO_COMPUTER: Said = said(
    "Access is given to a program on this computer.",
    "アクセス権はこのコンピューター上のプログラムに渡されます。",
);
pub(super) const TO_APP: Said = said(
    "Access is given to the app that opens links of the kind {}.",
    "アクセス権は、{} で始まるリンクを開くアプリに渡されます。",
);
pub(super) const TO_DEVICE: Said =
    said("Access is given to your device.", "アクセス権はお使いのデバイスに渡されます。");
pub(super) const DEVICE_CODE: Said = said("Code of the device", "デバイスのコード");
pub(super) const DEVICE_CHECK: Said = said(
    "Go on only if this code is on the screen of the device you hold.",
    "お手元のデバイスの画面に同じコードが表示されている場合に限り、先へ進んでください。",
);
pub(super) const SERVER: Said = said("What it wants to use", "利用しようとしているサーバー");
pub(super) const PERMITS: Said = said("What it may do", "許可する操作");
pub(super) const PERMITS_HELP: Said = said(
    "Only what you tick is permitted. You can take it back at any time.",
    "チェックを入れた操作だけが許可されます。許可はいつでも取り消せます。",
);
pub(super) const TOOLS: Said = said("Tools of this kind: {}", "この種類のツール: {} 件");
pub(super) const NO_TOOL: Said = said("No tool of this kind at the moment.", "現在、この種類のツールはありません。");
pub(super) const OTHERS: Said = said("Other permissions it asks for", "そのほかに求められている権限");
pub(super) const LASTS: Said = said("Ask me again after", "許可の有効期間");
pub(super) const DAYS: Said = said("{} days", "{} 日間");
pub(super) const ONE_DAY: Said = said("{} day", "{} 日間");
pub(super) const ACTS_AS: Said = said(
    "You act as {}: whatever the application does counts as done by you.",
    "{} として操作します。アプリケーションが行った操作は、ご本人の操作として扱われます。",
);
pub(super) const SIGN_IN_NEXT: Said = said(
    "You sign in at {} next; the application then acts as you.",
    "次に {} でサインインしていただきます。その後、アプリケーションはご本人として操作します。",
);
pub(super) const ALLOW: Said = said("Allow", "許可する");
pub(super) const DENY: Said = said("Deny", "許可しない");

pub(super) const CODE: Said = said("Error", "エラー");
pub(super) const REQUEST: Said = said("Request", "リクエスト番号");

pub(super) const ON_THE_WAY: Said = said("One moment", "移動しています");
pub(super) const GOING_TO: Said = said("You are being taken to {}.", "{} へ移動します。しばらくお待ちください。");
pub(super) const GO_ON: Said =
    said("Continue, if nothing happens", "自動的に移動しない場合は、こちらから続けてください");

pub(super) const DENIED: Said = said("Nothing was permitted", "許可しませんでした");
pub(super) const DENIED_MORE: Said = said(
    "The application was given no access. You can close this page.",
    "アプリケーションにアクセス権は渡されていません。このページは閉じてかまいません。",
);
pub(super) const ACCEPTED: Said = said("Your device is connected", "デバイスを接続しました");
pub(super) const ACCEPTED_MORE: Said = said(
    "Go on at your device. You can close this page.",
    "デバイスに戻って続けてください。このページは閉じてかまいません。",
);
pub(super) const SIGNED_OUT: Said = said("You are signed out", "サインアウトしました");
pub(super) const SIGNED_OUT_MORE: Said = said(
    "You are signed out here; you may still be signed in at your identity provider. What you permitted to applications stays until you revoke it.",
    "このサイトからサインアウトしました。ID プロバイダーにはサインインしたままの場合があります。アプリケーションへの許可は、取り消すまで有効です。",
);

pub(super) const CONSENTS: Said = said("Applications that act for you", "許可しているアプリケーション");
pub(super) const SIGNED_IN_AS: Said = said("You are signed in as {}.", "{} としてサインインしています。");
pub(super) const NO_CONSENT: Said =
    said("No application may act for you.", "現在、操作を許可しているアプリケーションはありません。");
pub(super) const CLIENT_ID: Said = said("Application id", "アプリケーション ID");
pub(super) const GOES_TO: Said = said("Access given to", "アクセス権の渡し先");
pub(super) const ITS_SERVER: Said = said("Server", "サーバー");
pub(super) const ITS_SCOPES: Said = said("Permitted", "許可した権限");
pub(super) const SINCE: Said = said("Since", "許可した日時");
pub(super) const UNTIL: Said = said("Until", "有効期限");
pub(super) const NOTHING: Said = said("nothing", "なし");
pub(super) const REVOKE: Said = said("Revoke", "許可を取り消す");
pub(super) const SIGN_OUT: Said = said("Sign out", "サインアウトする");

pub(super) const DEVICE: Said = said("Connect a device", "デバイスを接続する");
pub(super) const DEVICE_WHY: Said = said(
    "Enter the code that your device shows. Never enter a code that somebody sent you.",
    "お手元のデバイスに表示されているコードを入力してください。ほかの人から送られてきたコードは、決して入力しないでください。",
);
pub(super) const USER_CODE: Said = said("Code", "コード");
pub(super) const CONTINUE: Said = said("Continue", "続ける");

/// What a kind of tools does.
pub(super) fn kind(impact: Impact) -> Said {
    match impact {
        Impact::Read => said("Read", "読み取り"),
        Impact::Write => said("Change", "変更"),
        Impact::External => said("Reach outside", "外部とのやり取り"),
        Impact::Destructive => said("Delete or overwrite", "削除・上書き"),
    }
}

/// What ticking a kind of tools permits.
pub(super) fn permits(impact: Impact) -> Said {
    match impact {
        Impact::Read => said(
            "Use tools that look things up and change nothing",
            "情報を読み取るだけで、何も変更しないツールの利用を許可する",
        ),
        Impact::Write => said(
            "Use tools that add or change things, and destroy nothing",
            "追加や変更を行い、何も失わせないツールの利用を許可する",
        ),
        Impact::External => said(
            "Use tools that reach outside, such as the web or other people",
            "ウェブやほかの人など、外部とやり取りするツールの利用を許可する",
        ),
        Impact::Destructive => said(
            "Use tools that may delete or overwrite things, or do not say what they do",
            "削除や上書きをする可能性のあるツール、または動作が明示されていないツールの利用を許可する",
        ),
    }
}

/// What a user should know of a client.
pub(super) fn warning(mark: Mark) -> Said {
    match mark {
        Mark::LocalhostOnly => said(
            "Access is only ever given to a program on your own computer. Any program there can claim to be this application. Go on only if you have just started it yourself.",
            "アクセス権はお使いのコンピューター上のプログラムにのみ渡されます。どのプログラムでもこのアプリケーションを名乗ることができます。ご自身で起動した直後の場合に限り、先へ進んでください。",
        ),
        Mark::RedirectsElsewhere => said(
            "This application can have access sent to a site that is not its own.",
            "このアプリケーションは、自身のものではないサイトにアクセス権を渡すことがあります。",
        ),
        Mark::NameHidesSomething => said(
            "The name has hidden characters. They are written out here, so that you can see them.",
            "名前に目に見えない文字が含まれています。ここでは見える形に書き換えて表示しています。",
        ),
        Mark::NameLooksLikeAnotherHost => said(
            "The name looks like that of somebody else. Names can be made up; trust what stands beside it instead.",
            "名前がほかのサイトやサービスに似ています。名前は自由に付けられるため、併記されている確認結果をもとに判断してください。",
        ),
    }
}

//! The closed list of methods, era by era. What is not listed is not known (HT-22).

use crate::version::Era;

/// A request method that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `initialize` (legacy)
    Initialize,
    /// `ping` (legacy)
    Ping,
    /// `logging/setLevel` (legacy)
    SetLogLevel,
    /// `server/discover` (modern)
    Discover,
    /// `tools/list`
    ListTools,
    /// `tools/call`
    CallTool,
    /// `resources/list`
    ListResources,
    /// `resources/templates/list`
    ListTemplates,
    /// `resources/read`
    ReadResource,
    /// `prompts/list`
    ListPrompts,
    /// `prompts/get`
    GetPrompt,
    /// `completion/complete`
    Complete,
    /// `subscriptions/listen` (modern). In the legacy era it is what a GET asks for.
    Listen,
    /// `resources/subscribe` (legacy)
    Subscribe,
    /// `resources/unsubscribe` (legacy)
    Unsubscribe,
    /// `tasks/get`
    GetTask,
    /// `tasks/result` (legacy)
    TaskResult,
    /// `tasks/update` (modern)
    UpdateTask,
    /// `tasks/cancel`
    CancelTask,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 19] = [
        Method::Initialize,
        Method::Ping,
        Method::SetLogLevel,
        Method::Discover,
        Method::ListTools,
        Method::CallTool,
        Method::ListResources,
        Method::ListTemplates,
        Method::ReadResource,
        Method::ListPrompts,
        Method::GetPrompt,
        Method::Complete,
        Method::Listen,
        Method::Subscribe,
        Method::Unsubscribe,
        Method::GetTask,
        Method::TaskResult,
        Method::UpdateTask,
        Method::CancelTask,
    ];

    /// The method called `name` in `era`, if that era has it.
    #[must_use]
    pub fn parse(name: &str, era: Era) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.as_str() == name && method.spoken_in(era))
    }

    /// Its name on the wire, which is also its Cedar action.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Initialize => "initialize",
            Method::Ping => "ping",
            Method::SetLogLevel => "logging/setLevel",
            Method::Discover => "server/discover",
            Method::ListTools => "tools/list",
            Method::CallTool => "tools/call",
            Method::ListResources => "resources/list",
            Method::ListTemplates => "resources/templates/list",
            Method::ReadResource => "resources/read",
            Method::ListPrompts => "prompts/list",
            Method::GetPrompt => "prompts/get",
            Method::Complete => "completion/complete",
            Method::Listen => "subscriptions/listen",
            Method::Subscribe => "resources/subscribe",
            Method::Unsubscribe => "resources/unsubscribe",
            Method::GetTask => "tasks/get",
            Method::TaskResult => "tasks/result",
            Method::UpdateTask => "tasks/update",
            Method::CancelTask => "tasks/cancel",
        }
    }

    /// Whether `era` has it.
    #[must_use]
    pub fn spoken_in(self, era: Era) -> bool {
        match self {
            Method::Initialize
            | Method::Ping
            | Method::SetLogLevel
            | Method::Subscribe
            | Method::Unsubscribe
            | Method::TaskResult => era == Era::Legacy,
            Method::Discover | Method::Listen | Method::UpdateTask => era == Era::Modern,
            Method::ListTools
            | Method::CallTool
            | Method::ListResources
            | Method::ListTemplates
            | Method::ReadResource
            | Method::ListPrompts
            | Method::GetPrompt
            | Method::Complete
            | Method::GetTask
            | Method::CancelTask => true,
        }
    }
}

//! `Resource` and `Prompt`: the other two things that a server can offer, made of the same stuff as a tool.
//!
//! The struct is the resource (its members are the variables of the URI) or the prompt (its members are the arguments);
//! reading and getting go the way of a call and are decided, limited and recorded like one. Both only read.

use crate::content::{Messages, Reading};
use crate::server::AnyTool;
use crate::tool::{BoxFuture, Tool, ToolDef};
use crate::uri::Template;
use serde::Serialize;
use std::sync::Arc;

/// Something that can be read under a URI.
pub trait Resource: Tool<Output = Reading> {
    /// Its URI, or a template of it (RFC 6570 level 1: `memory://{key}`), whose variables are the struct's members.
    const URI: &'static str;
    const TITLE: &'static str;
    /// Media type of what it holds, when that is always the same.
    const MIME: Option<&'static str> = None;
    /// Whether its server tells when what it holds changes (`Ctx::changed`). Only then can clients subscribe to it.
    const TELLS: bool = false;

    /// What there is under a template, for lists; a resource without variables lists itself.
    fn list(server: &Self::Server) -> impl Future<Output = Vec<Listed>> + Send {
        let _ = server;
        async { Vec::new() }
    }

    /// Values that a variable may have, beginning with `typed`.
    fn complete(
        server: &Self::Server,
        variable: &str,
        typed: &str,
    ) -> impl Future<Output = Vec<String>> + Send {
        let _ = (server, variable, typed);
        async { Vec::new() }
    }
}

/// A text for a model that a person picks.
pub trait Prompt: Tool<Output = Messages> {
    const TITLE: &'static str;

    /// Values that an argument may have, beginning with `typed`.
    fn complete(
        server: &Self::Server,
        argument: &str,
        typed: &str,
    ) -> impl Future<Output = Vec<String>> + Send {
        let _ = (server, argument, typed);
        async { Vec::new() }
    }
}

/// One resource of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub uri: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
}

/// Lists what is under a template and completes values, with the server's type erased.
pub trait Completer: Send + Sync {
    fn list(&self) -> BoxFuture<'_, Vec<Listed>>;
    fn complete<'a>(&'a self, name: &'a str, typed: &'a str) -> BoxFuture<'a, Vec<String>>;
}

type ListFn<S> = for<'a> fn(&'a S) -> BoxFuture<'a, Vec<Listed>>;
type CompleteFn<S> = for<'a> fn(&'a S, &'a str, &'a str) -> BoxFuture<'a, Vec<String>>;

/// A resource with its types erased, of server `S`.
pub struct ResourceDef<S> {
    pub(crate) uri: &'static str,
    pub(crate) title: &'static str,
    pub(crate) mime: Option<&'static str>,
    pub(crate) tells: bool,
    pub(crate) tool: ToolDef<S>,
    list: ListFn<S>,
    complete: CompleteFn<S>,
}

impl<S: Send + Sync + 'static> ResourceDef<S> {
    pub fn of<R: Resource<Server = S>>() -> Self {
        Self {
            uri: R::URI,
            title: R::TITLE,
            mime: R::MIME,
            tells: R::TELLS,
            tool: ToolDef::of::<R>(),
            list: |server| Box::pin(R::list(server)),
            complete: |server, name, typed| Box::pin(R::complete(server, name, typed)),
        }
    }

    /// Its name, unique in its server.
    pub fn name(&self) -> &'static str {
        self.tool.spec.name
    }
}

/// A prompt with its types erased, of server `S`.
pub struct PromptDef<S> {
    pub(crate) title: &'static str,
    pub(crate) tool: ToolDef<S>,
    complete: CompleteFn<S>,
}

impl<S: Send + Sync + 'static> PromptDef<S> {
    pub fn of<P: Prompt<Server = S>>() -> Self {
        Self {
            title: P::TITLE,
            tool: ToolDef::of::<P>(),
            complete: |server, name, typed| Box::pin(P::complete(server, name, typed)),
        }
    }

    /// Its name, unique in its server.
    pub fn name(&self) -> &'static str {
        self.tool.spec.name
    }
}

struct Completes<S> {
    server: Arc<S>,
    list: ListFn<S>,
    complete: CompleteFn<S>,
}

impl<S: Send + Sync + 'static> Completer for Completes<S> {
    fn list(&self) -> BoxFuture<'_, Vec<Listed>> {
        (self.list)(&self.server)
    }
    fn complete<'a>(&'a self, name: &'a str, typed: &'a str) -> BoxFuture<'a, Vec<String>> {
        (self.complete)(&self.server, name, typed)
    }
}

/// A mounted resource.
#[derive(Clone)]
pub struct MountedResource {
    pub template: Arc<Template>,
    pub title: &'static str,
    pub mime: Option<&'static str>,
    pub tells: bool,
    pub run: Arc<dyn AnyTool>,
    pub completer: Arc<dyn Completer>,
}

/// A mounted prompt.
#[derive(Clone)]
pub struct MountedPrompt {
    pub title: &'static str,
    pub run: Arc<dyn AnyTool>,
    /// None of an upstream, which completes by itself (`Foreign`).
    pub completer: Option<Arc<dyn Completer>>,
}

impl<S: Send + Sync + 'static> ResourceDef<S> {
    /// Panics if its URI is not a valid template, which the servers' own tests show.
    pub(crate) fn mount(self, server: &Arc<S>) -> MountedResource {
        let template = match Template::parse(self.uri) {
            Ok(template) => Arc::new(template),
            Err(problem) => panic!("resource {:?}: {problem}", self.uri),
        };
        let completer = Completes { server: server.clone(), list: self.list, complete: self.complete };
        MountedResource {
            template,
            title: self.title,
            mime: self.mime,
            tells: self.tells,
            run: crate::server::mounted(self.tool, server),
            completer: Arc::new(completer),
        }
    }
}

impl<S: Send + Sync + 'static> PromptDef<S> {
    pub(crate) fn mount(self, server: &Arc<S>) -> MountedPrompt {
        fn nothing<S>(_: &S) -> BoxFuture<'_, Vec<Listed>> {
            Box::pin(async { Vec::new() })
        }
        let completer = Completes { server: server.clone(), list: nothing, complete: self.complete };
        MountedPrompt {
            title: self.title,
            run: crate::server::mounted(self.tool, server),
            completer: Some(Arc::new(completer)),
        }
    }
}

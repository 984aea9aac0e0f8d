//! Ward's REST, as a client sees it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::eventually;

/// A client of one gateway, with or without a token.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Rest {
    pub fn new(base: String) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(20)).pool_max_idle_per_host(64).build().unwrap();
        Self { client, base, token: None }
    }

    /// A client that makes a new connection for each request.
    pub fn unpooled(&self) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(20)).pool_max_idle_per_host(0).build().unwrap();
        Self { client, ..self.clone() }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// This client with the token of a user. The password is that of the development profile's users.
    pub async fn login(&self, email: &str) -> Self {
        let answer = self.post("/auth/login", json!({ "email": email, "password": "password123" })).await.expect(200);
        self.with_token(answer.json()["token"].as_str().expect("a token"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path).json(body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PUT, path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).send().await
    }

    /// None when there is no answer.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        self.request(Method::GET, path).try_send().await.ok()
    }

    pub fn request(&self, method: Method, path: &str) -> Request<'_> {
        let request =
            Request { rest: self, method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() };
        match &self.token {
            Some(token) => request.header("authorization", &format!("Bearer {token}")),
            None => request,
        }
    }

    /// How often a limit of a service was met on this host.
    pub async fn refusals(&self, service: &str, limit: &str) -> u64 {
        let metrics = self.get("/metrics").await.expect(200).text();
        let series = format!("ward_limit_refusals_total{{service=\"{service}\",limit=\"{limit}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
        count.unwrap_or_else(|| panic!("{series}is not in {metrics}")).parse().unwrap()
    }

    /// Waits until a GET answers with this status.
    pub async fn until(&self, path: &str, status: u16) -> Answer {
        eventually(&format!("GET {path} answers {status}"), async || {
            self.try_get(path).await.filter(|answer| answer.status == status)
        })
        .await
    }
}

/// A request with more than a body.
pub struct Request<'a> {
    rest: &'a Rest,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: no answer: {error:?}"))
    }

    /// An error when there is no answer.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        Answer::of(self.build().send().await?).await
    }

    /// The response to an endless body, for as long as it is held; an error when it is no success.
    pub async fn open(self) -> Result<Response, Answer> {
        let response = self.build().timeout(Duration::MAX).send().await.unwrap();
        if response.status().is_success() { Ok(response) } else { Err(Answer::of(response).await.unwrap()) }
    }

    fn build(self) -> RequestBuilder {
        let url = format!("{}{}", self.rest.base, self.path);
        self.rest.client.request(self.method, url).headers(self.headers).body(self.body)
    }
}

impl Answer {
    async fn of(response: Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await? })
    }

    /// Fails the test when the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "body: {}", self.text());
        self
    }

    /// The answer as an error when its status is another.
    pub fn check(&self, status: u16) -> Result<(), String> {
        if self.status == status { Ok(()) } else { Err(format!("{} {}", self.status, self.text())) }
    }

    /// Expects the status, and that the body is a problem (RFC 9457) with it.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Value {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "body: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
        problem
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

// Calls to the node that this page comes from. The API token stands in the tab's session storage and goes into a header.

const TOKEN = "forename-token";
/** How long a call may take; a node that is well answers at once. */
const PATIENCE = 8000;

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: text => sessionStorage.setItem(TOKEN, text),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** What the caller may do, as the node said last. */
export const may = { scopes: new Set(), has: scope => may.scopes.has(scope) };

/** A call that was refused, with the node's own words. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the node answered ${status}`);
    this.status = status;
    this.kind = String(problem.type ?? "").replace("urn:forename:problem:", "");
    this.problem = problem;
  }
}

async function send(path, { headers, ...rest }) {
  const secret = token.get();
  const all = { ...headers };
  if (secret) all.authorization = `Bearer ${secret}`;
  const answer = await fetch(path, { ...rest, headers: all, cache: "no-store", credentials: "omit" });
  if (answer.headers.has("forename-scopes")) may.scopes = new Set(answer.headers.get("forename-scopes").split(" "));
  if (answer.ok) return answer;
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

/** What the node answers to a question. */
export async function ask(path) {
  const answer = await send(path, { signal: AbortSignal.timeout(PATIENCE) });
  return answer.json();
}

/** Has the node do something. */
export async function tell(path, body) {
  const answer = await send(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  return answer.json();
}

/** The events after a cursor, as they come; each with its cursor. Ends when the node ends the stream or `signal` says so. */
export async function* follow(after, signal) {
  const path = `/v1/events?after=${encodeURIComponent(after)}&limit=200`;
  const answer = await send(path, { headers: { accept: "text/event-stream" }, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const messages = text.split("\n\n");
    text = messages.pop();
    const read = messages.map(message);
    yield read;
  }
}

/** A message of a stream: how far its reader has come, and an event where it has one. */
function message(text) {
  const found = { cursor: undefined, event: undefined };
  for (const line of text.split("\n")) {
    if (line.startsWith("id:")) found.cursor = line.slice(3).trim();
    if (line.startsWith("data:")) found.event = JSON.parse(line.slice(5));
  }
  return found;
}

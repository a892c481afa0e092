// A sign-up form whose user names and e-mail addresses are unique at forename. See README.md beside this file.
//
// The application may be killed at any moment and simply starts again: a sign-up is written down before forename is asked,
// under the id that forename knows it by, and what became of it comes from the feed, each event in one change with the cursor.

import { type IncomingMessage, createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { Client, type Problem } from "../../src/index.js";
import { Accounts, type Standing } from "./accounts.js";
import { Names } from "./names.js";

const STANDS: Record<Standing, string> = {
  requested: "We are still making sure that {} is yours.",
  pending: "We are still making sure that {} is yours.",
  reserved: "{} is reserved for you until you follow the link in our mail.",
  active: "{} is yours.",
  unavailable: "You did not get {}. Please choose another name.",
  ended: "{} is no longer yours. Please choose a name.",
};

type Page = [status: number, title: string, body: string];

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function form(owner: string, username = "", email = ""): string {
  return `<form method="post" action="/"><input type="hidden" name="owner" value="${escape(owner)}">
<label>User name <input name="username" value="${escape(username)}" required autofocus></label>
<label>E-mail address, if you like <input type="email" name="email" value="${escape(email)}"></label>
<button>Sign up</button></form>`;
}

// Why the names are not to be had, and what would be free.
function sorry({ names = [], why, detail }: Problem): string {
  if (names.length === 0) return why ?? detail;
  const free = names.flatMap(({ suggestions = [] }) => suggestions);
  const taken = `${names.map(({ name }) => name).join(" and ")} not available.`;
  return free.length > 0 ? `${taken} Free are ${free.join(", ")}` : taken;
}

class Pages {
  constructor(private readonly accounts: Accounts, private readonly names: Names) {}

  get([place = "", id = ""]: string[]): Page {
    const verified = place === "verify" && this.bySecret(id);
    // Nobody can guess the owner, and whoever knows it is let in: where there are log-ins it comes from the session.
    if (place === "") return [200, "Sign up", form(crypto.randomUUID())];
    if (place === "account") return this.account(id);
    if (place === "outbox") return [200, "Mail that would be sent", this.outbox()];
    if (!verified) return [404, "Nothing is here", "<p><a href='/'>Sign up</a></p>"];
    // Looking at the link does nothing: mail filters do.
    const button = `<form method="post" action="/verify/${escape(id)}"><button>This is mine</button></form>`;
    return [200, "Your address", `<p>${escape(verified.email ?? "")}</p>${button}`];
  }

  async post([place = "", id = ""]: string[], fields: URLSearchParams): Promise<Page> {
    if (place === "") return this.signUp(fields);
    const verified = place === "verify" ? this.bySecret(id) : undefined;
    if (verified === undefined) return [404, "No such link", "<p>This link is not, or no longer, one of ours.</p>"];
    if (await this.names.activate(verified)) return [200, "Thank you", `<p>${escape(verified.username)} is yours.</p>`];
    return [410, "Too late", "<p>The link has come too late: the name is free again. Please sign up once more.</p>"];
  }

  private async signUp(fields: URLSearchParams): Promise<Page> {
    const [owner, username, email] = ["owner", "username", "email"].map((name) => fields.get(name)?.trim() ?? "") as [string, string, string];
    const signUp = { owner: owner || crypto.randomUUID(), registration: crypto.randomUUID() as string, username, email: email || undefined };
    const written = await this.accounts.write(signUp);
    if (written === undefined) return this.account(signUp.owner);
    signUp.registration = written[0];
    const answer = await this.names.ask(signUp, written[1]);
    const account = `<p><a href="/account/${escape(signUp.owner)}">Your account</a></p>`;
    if (answer === "confirmed") {
      const more = email ? "Please follow the link in the mail that we are sending you." : "You are all set.";
      return [201, `Welcome, ${username}`, `<p>${more}</p>${account}`];
    }
    if (typeof answer === "string") return [202, "Almost there", `<p>It takes longer than usual. We will tell you.</p>${account}`];
    await this.accounts.refused(signUp.registration);
    return [answer.status, "Sign up", `<p>${escape(sorry(answer))}</p>${form(signUp.owner, username, email)}`];
  }

  private account(owner: string): Page {
    const found = this.accounts.book.accounts[owner];
    if (found === undefined) return [404, "No such account", "<p>Have you signed up?</p>"];
    const notices = this.accounts.book.mails.filter((mail) => mail.registration === found.registration);
    const told = notices.map(({ body }) => `<li>${escape(body)}</li>`).join("");
    const again = found.standing === "unavailable" || found.standing === "ended" ? form(owner, "", found.email) : "";
    return [200, "Your account", `<p>${STANDS[found.standing].replace("{}", escape(found.username))}</p><ul>${told}</ul>${again}`];
  }

  private outbox(): string {
    const mails = this.accounts.book.mails.filter(({ address }) => address !== undefined);
    const items = mails.map(({ address = "", body, link }) => `<li>To ${escape(address)}: ${escape(body)} <a href="${escape(link)}">${escape(link)}</a></li>`);
    return `<ul>${items.join("")}</ul>`;
  }

  private bySecret(secret: string) {
    return Object.values(this.accounts.book.accounts).find((account) => account.secret === secret);
  }
}

async function fieldsOf(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) if (text.length < 65_536) text += chunk as string;
  return new URLSearchParams(text);
}

const setting = (name: string, other: string) => process.env[name] ?? other;
const nodes = setting("NODES", "http://127.0.0.1:7400").split(",");
const accounts = await Accounts.open(setting("DATABASE", "signup.json"));
const front = new Client(nodes, { token: process.env["REGISTER_TOKEN"] });
const client = new Client(nodes, { token: process.env["TOKEN"] });
const names = new Names(accounts, { front, client, answerWithin: setting("ANSWER_WITHIN", "5s"), verifyWithin: setting("VERIFY_WITHIN", "3d") });
const pages = new Pages(accounts, names);
const server = createServer(async (request, response) => {
  const path = (request.url ?? "/").replace(/^\/|\/$/g, "").split("/");
  const broken: Page = [503, "Sorry", "<p>We could not do that just now. Nothing is lost; please try again.</p>"];
  const answer = request.method === "POST" ? fieldsOf(request).then((fields) => pages.post(path, fields)) : Promise.resolve(pages.get(path));
  const [status, title, body] = await answer.catch((error: unknown) => (console.error(error), broken));
  response.writeHead(status, { "content-type": "text/html; charset=utf-8" });
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${escape(title)}</title><h1>${escape(title)}</h1>${body}`);
});
void names.follow();
void names.askAgain();
server.listen(Number(setting("PORT", "8080")), "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));

// The accounts in one file, and what people are to be told.

import { open, readFile, rename } from "node:fs/promises";

import type { Registration } from "../../src/index.js";

// How far a sign-up has come. The order counts: it goes on from one to a later one and never back, whichever node tells of it
// and however often. `requested`: written down before a node was asked. `unavailable`: somebody else has a name.
const STANDINGS = ["requested", "pending", "reserved", "active", "unavailable", "ended"] as const;
export type Standing = (typeof STANDINGS)[number];

export interface SignUp {
  owner: string;
  registration: string;
  username: string;
  email?: string;
}

export interface Account extends SignUp {
  standing: Standing;
  secret?: string;
  askedAt: number;
}

export interface Mail {
  registration: string;
  about: Standing;
  address?: string;
  body: string;
  link: string;
}

// All that is kept.
export interface Book {
  accounts: Record<string, Account>;
  mails: Mail[];
  // How far each node's feed has been applied.
  cursors: Record<string, string>;
}

export class Accounts {
  private last: Promise<unknown> = Promise.resolve();

  private constructor(private readonly path: string, public book: Book) {}

  static async open(path: string): Promise<Accounts> {
    const text = await readFile(path, "utf8").catch(() => '{"accounts":{},"mails":[],"cursors":{}}');
    return new Accounts(path, JSON.parse(text) as Book);
  }

  // One change after the other, each whole or not at all: killed at any moment, the file is the one before or the one after.
  change<T>(make: (book: Book) => T): Promise<T> {
    const made = this.last.then(async () => {
      const book = structuredClone(this.book);
      const result = make(book);
      const file = await open(`${this.path}.new`, "w");
      await file.writeFile(JSON.stringify(book));
      await file.datasync();
      await file.close();
      await rename(`${this.path}.new`, this.path);
      this.book = book;
      return result;
    });
    this.last = made.catch(() => undefined);
    return made;
  }

  // Writes a sign-up down before any node is asked: its registration, and whether it was sent before. Nothing: another sign-up
  // of this person is under way. Who got no name, or lost it, may try another one.
  write(signUp: SignUp): Promise<[string, boolean] | undefined> {
    return this.change(({ accounts }) => {
      const known = accounts[signUp.owner];
      if (known === undefined || known.standing === "unavailable" || known.standing === "ended") {
        accounts[signUp.owner] = { ...signUp, standing: "requested", askedAt: Date.now() };
        return [signUp.registration, false];
      }
      const same = known.username === signUp.username && known.email === signUp.email;
      return same ? [known.registration, true] : undefined;
    });
  }

  // The visitor is told on this very page, so a mail that the feed has queued meanwhile is not needed any more.
  refused(registration: string): Promise<void> {
    return this.change((book) => {
      const account = of(book, registration);
      if (account !== undefined && before(account.standing, "reserved")) account.standing = "unavailable";
      book.mails = book.mails.filter((mail) => mail.registration !== registration || mail.about !== "unavailable");
    });
  }

  // The same while the visitor is gone.
  refusedUnseen(registration: string, why: string): Promise<void> {
    return this.change((book) => advance(book, registration, "unavailable", `Sorry, you did not get the name you asked for: ${why}.`));
  }

  // Sign-ups of which no node is known to have or to refuse them, although they are so many milliseconds old.
  unanswered(age: number): Account[] {
    const all = Object.values(this.book.accounts);
    return all.filter(({ standing, askedAt }) => standing === "requested" && askedAt <= Date.now() - age);
  }
}

// The account that a registration is of; none where it is of others who use the cluster, or of an attempt that was given up.
export function of(book: Book, registration: string): Account | undefined {
  return Object.values(book.accounts).find((account) => account.registration === registration);
}

export function before(standing: Standing, other: Standing): boolean {
  return STANDINGS.indexOf(standing) < STANDINGS.indexOf(other);
}

function standingOf({ status, names = [], expires_at, activated }: Registration): Standing {
  if (status === "pending" || status === "contested") return "pending";
  if (status === "rejected") return "unavailable";
  if (names.some(({ ended }) => ended !== undefined)) return "ended";
  return expires_at !== undefined && !activated ? "reserved" : "active";
}

// The one place where a registration changes an account, told by an event or read from a node.
export function learn(book: Book, registration: Registration): void {
  const typed = registration.names?.[0]?.name ?? "your name";
  const late = registration.names?.some(({ ended }) => ended === "expired");
  const bodies: Partial<Record<Standing, string>> = {
    reserved: `The name ${typed} is yours once you have verified this address.`,
    unavailable: `Sorry, ${registration.rejected_by?.name ?? typed} is not available after all: somebody else asked for it before you did. Please choose another one.`,
    ended: late ? `This address was not verified in time, so the name ${typed} is free again.` : `The name ${typed} is no longer yours.`,
  };
  const standing = standingOf(registration);
  advance(book, registration.id, standing, bodies[standing]);
}

// Moves an account on, never back, and with the move queues what is to be said about it: so it is said once.
export function advance(book: Book, registration: string, standing: Standing, body?: string): void {
  const account = of(book, registration);
  if (account === undefined || !before(account.standing, standing)) return;
  account.standing = standing;
  if (standing === "reserved") account.secret = crypto.randomUUID();
  if (body === undefined) return;
  const link = standing === "reserved" ? `/verify/${account.secret}` : `/account/${account.owner}`;
  book.mails.push({ registration, about: standing, address: account.email, body, link });
}

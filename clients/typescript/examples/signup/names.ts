// Asking forename for names, at whichever node answers, and following what becomes of them.

import { type Client, type FeedEvent, Follower, type Problem, Refused, type Store, type Why } from "../../src/index.js";
import { type Accounts, type SignUp, advance, before, learn } from "./accounts.js";

// Between looks for sign-ups that no node has answered, and how old they must be: older than a visitor's own request.
const LOOK_EVERY = 10_000;
const UNANSWERED_AFTER = 120_000;

export interface Settings {
  // For the public form: its token has the scope `register` alone.
  front: Client;
  // Reads the feed and activates.
  client: Client;
  answerWithin: string;
  verifyWithin: string;
}

export class Names implements Store {
  constructor(private readonly accounts: Accounts, private readonly settings: Settings) {}

  // `confirmed`, `pending`, or why the names are not to be had. Both names or none; with an address a reservation.
  async ask({ owner, registration, username, email }: SignUp, askedBefore: boolean, waits = true): Promise<string | Problem> {
    const { front, answerWithin, verifyWithin } = this.settings;
    const names = [{ namespace: "username", name: username }, ...(email ? [{ namespace: "email", name: email }] : [])];
    const options = { id: registration, ttl: email && verifyWithin, suggest: 3, askedBefore };
    try {
      const waiting = waits ? ({ wait: "final", timeout: answerWithin } as const) : {};
      return (await front.register(owner, names, { ...options, ...waiting })).status;
    } catch (error) {
      if (error instanceof Refused && refuses(error)) return error.problem;
      console.error(`a sign-up has no answer yet: ${error}`);
      return "pending";
    }
  }

  // Makes a reservation permanent; false where it has ended or lost.
  async activate({ owner, registration }: SignUp): Promise<boolean> {
    try {
      await this.settings.client.forOwner(owner).activate(registration);
      return true;
    } catch (error) {
      if (error instanceof Refused && error.kind === "too-late") return false;
      throw error;
    }
  }

  // Asks again for sign-ups that no node is known to have or to refuse: all at the start, later those that nobody waits for.
  async askAgain(age = 0): Promise<void> {
    for (const signUp of this.accounts.unanswered(age)) {
      const answer = await this.ask(signUp, true, false);
      // Of what was accepted the feed will tell.
      if (typeof answer !== "string") await this.accounts.refusedUnseen(signUp.registration, answer.detail);
    }
    setTimeout(() => void this.askAgain(UNANSWERED_AFTER), LOOK_EVERY);
  }

  // Keeps the accounts up to date, each event in one change with the cursor.
  follow(): Promise<void> {
    return new Follower(this.settings.client, this, {}, console.error).run();
  }

  async cursor(source: string): Promise<string | undefined> {
    return this.accounts.book.cursors[source];
  }

  // An account only goes on, so an event that is known changes nothing, and its id need not be kept.
  apply(source: string, cursor: string, event: FeedEvent): Promise<void> {
    return this.accounts.change((book) => {
      learn(book, event.data.registration);
      book.cursors[source] = cursor;
    });
  }

  // Registrations are as they were, so those that are open here are read one by one; the cursor comes last.
  async restart(source: string, cursor: string, why: Why, node: Client): Promise<void> {
    for (const { registration, standing } of Object.values(this.accounts.book.accounts)) {
      if (!before(standing, "unavailable")) continue;
      try {
        const found = await node.registration(registration);
        await this.accounts.change((book) => learn(book, found));
      } catch (error) {
        if (!(error instanceof Refused) || error.kind !== "no-registration") throw error;
        // It is over, for so long that it was forgotten; a node whose feed is new here may not have heard of it yet.
        const over = why === "events-compacted" && standing !== "requested";
        if (over) await this.accounts.change((book) => advance(book, registration, "ended", "Your names are no longer yours."));
      }
    }
    await this.accounts.change((book) => void (book.cursors[source] = cursor));
  }
}

// True where the refusal is about the request itself, so that a retry gets the same answer.
function refuses({ problem: { status }, kind }: Refused): boolean {
  return status >= 400 && status < 500 && status !== 429 && kind !== "id-reused";
}

// A client of the HTTP interface.

import { Refused, Uncertain, Unreachable, why } from "./errors.js";
import { EventStream, type Filter, queryOf } from "./events.js";
import type {
  BatchLine, CheckedName, CheckedNames, Cluster, Conflict, Events, Explanation, ListedNamespace, Name, NameRef, Namespace,
  NamespacePatch, Registration, RegistrationBody, TakenName, Tenure, Wait,
} from "./models.js";
import { Meant, Node, Nodes, PATIENCE, type Query, allFailed, target } from "./nodes.js";

// Milliseconds that a node waits for an outcome at most.
const MAX_WAIT = 60_000;

export interface ClientOptions {
  // An API token.
  token?: string;
  // The id of the cluster that is meant; otherwise the first that is seen.
  cluster?: string;
  // Named where a registration is changed by its id, as a token with the scope `claim` has to.
  owner?: string;
}

export interface RegisterOptions extends Omit<RegistrationBody, "owner" | "names"> {
  // A node may have taken the same request already, so a refusal counts only where all nodes refuse.
  askedBefore?: boolean;
}

// Talks to whichever of several nodes of one cluster answers.
//
// With several nodes, a call that reads goes on to the next node where one cannot be reached or refuses for now (503, 507).
// So does a registration, under one id, so that it stays one. Other changes go on only where the first node certainly has
// done nothing.
export class Client {
  private readonly inner: Nodes;
  private readonly meant: Meant;
  private readonly owner: string | undefined;

  constructor(addresses: string | string[], options: ClientOptions = {}) {
    this.meant = new Meant(options.cluster);
    this.owner = options.owner;
    this.inner = new Nodes([addresses].flat().map((address) => new Node(address, options.token, this.meant)));
  }

  // The nodes, as they were given.
  get nodes(): readonly Node[] {
    return this.inner.all;
  }

  // The cluster that it talks to, where it was told or has seen one.
  get clusterId(): string | undefined {
    return this.meant.id;
  }

  // The same, naming this owner where a registration is changed by its id.
  forOwner(owner: string): Client {
    return this.like({ owner });
  }

  // The same for this node alone.
  at(node: Node): Client {
    return this.like({ inner: new Nodes([node]) });
  }

  private like(other: object): Client {
    return Object.assign(Object.create(Client.prototype) as Client, this, other);
  }

  // Registers names, all or none. Write `id` down before you call: with it the call may be repeated. Throws `Taken` where a
  // name is somebody else's, `Uncertain` where a node may have taken it and did not answer while others refuse.
  async register(owner: string, names: NameRef[], options: RegisterOptions = {}): Promise<Registration> {
    const { askedBefore = false, ...rest } = options;
    const body = { ...rest, id: rest.id ?? crypto.randomUUID(), owner, names };
    const wait = body.wait === "final" || body.wait === "always" ? MAX_WAIT : 0;
    const failures: (Unreachable | Refused)[] = [];
    let refusal: Refused | undefined;
    let unanswered = false;
    for (const node of this.inner.inTurn()) {
      try {
        const registration = await node.call<Registration>({ method: "POST", path: ["v1", "registrations"], body, wait });
        this.inner.answered(node);
        return registration;
      } catch (error) {
        if (error instanceof Unreachable || (error instanceof Refused && error.passing)) {
          failures.push(error);
          unanswered ||= askedBefore || (error instanceof Unreachable && error.sent);
        } else if (error instanceof Refused && settles(error) && (askedBefore || unanswered)) {
          refusal ??= error;
        } else {
          throw error;
        }
      }
    }
    if (refusal !== undefined) throw unanswered ? new Uncertain(body.id, refusal.problem) : refusal;
    throw allFailed(failures);
  }

  // Registers many, each as for one; the answers come in the order of the bodies. Bodies need an `id` to be repeated. Sent in
  // batches of some hundred to the node that answered last, or to the next one where that has certainly taken nothing. Lines
  // that a node refuses for now (503, 507) are not sent again; the next batch goes to another node. Where a node breaks off in a batch, `Unreachable` is thrown, and the next call goes to another node: whether the lines without an
  // answer were registered is not known, and those with an `id` can be sent again.
  async *registerMany(bodies: Iterable<RegistrationBody>): AsyncGenerator<BatchLine> {
    let batch: string[] = [];
    for (const body of bodies) {
      if (batch.push(JSON.stringify(body)) < 500) continue;
      yield* this.batch(batch);
      batch = [];
    }
    if (batch.length > 0) yield* this.batch(batch);
  }

  private async *batch(lines: string[]): AsyncGenerator<BatchLine> {
    const [node, response] = await this.sendBatch(lines.join("\n"));
    let answers: BatchLine[];
    try {
      answers = (await response.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line) as BatchLine);
      if (answers.length < lines.length) throw new Error(`it answered ${answers.length} of ${lines.length} lines`);
    } catch (error) {
      // A line that was cut off is no JSON.
      this.inner.passedOver(node);
      throw new Unreachable(node.address, why(error), true);
    }
    // The node refuses for now: the next batch goes to another one.
    if (answers.some(({ status }) => status === 503 || status === 507)) this.inner.passedOver(node);
    yield* answers;
  }

  private async sendBatch(body: string): Promise<[Node, Response]> {
    const failures: (Unreachable | Refused)[] = [];
    for (const node of this.inner.inTurn()) {
      const init = { method: "POST", body, signal: AbortSignal.timeout(MAX_WAIT + PATIENCE) };
      try {
        const response = await node.open(target(["v1", "registrations:batch"]), init, "application/x-ndjson");
        this.inner.answered(node);
        return [node, response];
      } catch (error) {
        const passing = error instanceof Refused ? error.passing : error instanceof Unreachable;
        if (passing) this.inner.passedOver(node);
        if (!passing || (error instanceof Unreachable && error.sent)) throw error;
        failures.push(error as Unreachable | Refused);
      }
    }
    throw allFailed(failures);
  }

  // What became of a registration, as far as the node knows.
  registration(id: string): Promise<Registration> {
    return this.get(["v1", "registrations", id]);
  }

  // The same when it is final, or after so many milliseconds with what is known then.
  async waitFor(id: string, timeout = MAX_WAIT, wait: Wait = "always"): Promise<Registration> {
    const deadline = Date.now() + timeout;
    for (;;) {
      const rest = Math.max(0, Math.min(deadline - Date.now(), MAX_WAIT));
      const query = { wait, timeout: `${rest}ms` };
      const found = await this.inner.call<Registration>({ method: "GET", path: ["v1", "registrations", id], query, wait: rest });
      const final = found.status === "confirmed" || found.status === "rejected";
      if (final || Date.now() >= deadline || wait !== "always") return found;
    }
  }

  // Makes a reservation permanent. It does no harm to do so twice, so it goes to the next node also without an answer.
  activate(id: string): Promise<Registration> {
    return this.inner.call({ method: "POST", path: ["v1", "registrations", id, "activate"], query: this.named() }, true);
  }

  // Has a reservation last so long from now on, like `1h`; never shorter than before.
  extend(id: string, ttl: string): Promise<Registration> {
    return this.inner.call({ method: "POST", path: ["v1", "registrations", id, "extend"], query: this.named(), body: { ttl } });
  }

  // Releases all names of a registration; `erase`: removes owner, names and metadata at all nodes, too.
  release(id: string, { erase }: { erase?: boolean } = {}): Promise<Registration> {
    return this.inner.call({ method: "DELETE", path: ["v1", "registrations", id], query: { ...this.named(), erase } });
  }

  // Releases one name.
  releaseName(namespace: string, name: string, owner: string): Promise<Registration> {
    return this.inner.call({ method: "DELETE", path: ["v1", "names", namespace, name], query: { owner } });
  }

  // Why a registration is where it is, in words.
  explainRegistration(id: string): Promise<Explanation> {
    return this.get(["v1", "registrations", id, "explanation"]);
  }

  // An owner's registrations, earliest first.
  ofOwner(owner: string): AsyncGenerator<Registration> {
    return this.pages(["v1", "owners", owner, "registrations"], "registrations");
  }

  // Who holds a name.
  name(namespace: string, name: string, { suggest }: { suggest?: number } = {}): Promise<Name> {
    return this.get(["v1", "names", namespace, name], { suggest });
  }

  // Which of up to 100 names can be had. Do not check first: register, and look at the answer.
  async check(names: NameRef[]): Promise<CheckedName[]> {
    return (await this.inner.call<CheckedNames>({ method: "POST", path: ["v1", "names:check"], body: names }, true)).names;
  }

  // Why a name is taken, or free, in words.
  explainName(namespace: string, name: string): Promise<Explanation> {
    return this.get(["v1", "names", namespace, name, "explanation"]);
  }

  // Who has held a name, earliest first.
  history(namespace: string, name: string): AsyncGenerator<Tenure> {
    return this.pages(["v1", "names", namespace, name, "history"], "tenures");
  }

  // The names that are taken, by namespace and key.
  names(namespace?: string, prefix?: string): AsyncGenerator<TakenName> {
    if (namespace === undefined) return this.pages(["v1", "names"], "names");
    return this.pages(["v1", "namespaces", namespace, "names"], "names", { prefix });
  }

  // The names that were claimed more than once.
  conflicts(query: { namespace?: string; since?: string } = {}): AsyncGenerator<Conflict> {
    return this.pages(["v1", "conflicts"], "conflicts", query);
  }

  // The namespaces, in the order of their names.
  namespaces(): AsyncGenerator<ListedNamespace> {
    return this.pages(["v1", "namespaces"], "namespaces");
  }

  // The rules of a namespace.
  namespace(namespace: string): Promise<Namespace> {
    return this.get(["v1", "namespaces", namespace]);
  }

  // Changes what the patch names; `null` gives the default.
  changeNamespace(namespace: string, patch: NamespacePatch): Promise<Namespace> {
    return this.inner.call({ method: "PATCH", path: ["v1", "namespaces", namespace], body: patch });
  }

  // The cluster as the answering node sees it.
  cluster(): Promise<Cluster> {
    return this.get(["v1", "cluster"]);
  }

  // A page of the event feed of the answering node. `Follower` and `stream` are for programs that go on reading.
  events(after?: string, filter: Filter = {}): Promise<Events> {
    return this.get(["v1", "events"], { ...queryOf(filter), after });
  }

  // The event feed of the first node as it grows, after this cursor; without one, all of it that the node keeps.
  stream(after?: string, filter: Filter = {}): EventStream {
    return new EventStream(this.inner.all[0] as Node, after, filter);
  }

  private get<T>(path: string[], query: Query = {}): Promise<T> {
    return this.inner.call<T>({ method: "GET", path, query });
  }

  private named(): Query {
    return { owner: this.owner };
  }

  private async *pages<T>(path: string[], member: string, query: Query = {}): AsyncGenerator<T> {
    let after: string | undefined;
    do {
      const page = await this.get<Record<string, unknown>>(path, { ...query, after });
      yield* page[member] as T[];
      after = page["next"] as string | undefined;
    } while (after !== undefined);
  }
}

// Whether this refusal is the outcome, if no other node has taken the same request.
function settles(error: Refused): boolean {
  const { status } = error.problem;
  const answers = status >= 400 && status < 500 && ![401, 403, 429].includes(status);
  return answers && error.kind !== "id-reused" && error.kind !== "registration-rejected";
}

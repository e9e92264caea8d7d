// A client of the soak: plays one visit of the plan on one connection and checks every answer. An
// answer of the proxy itself (`weft-reason`) may stand for any, because pods break connections that
// other clients share; what may not happen is a wrong body or a cut answer that looks whole.
import net from 'node:net';
import { bodyFault, soakBody, SoakReader } from './soak-message.ts';
import type { SoakMessage } from './soak-message.ts';
import { targetOf } from './soak-plan.ts';
import type { PlannedExchange, Visit } from './soak-plan.ts';
import { VisitTrace } from './soak-trace.ts';

export type ClientReport = {
  exchanges: number;
  /** Answers of a pod that came whole and were right. */
  answered: number;
  /** Connections that ended with exchanges to come, and without a word about it. */
  unanswered: number;
  /** Answers of the proxy itself, by reason. */
  readonly refused: Map<string, number>;
  readonly violations: string[];
};

export type VisitOptions = {
  readonly port: number;
  readonly localAddress: string;
  readonly visit: Visit;
  readonly report: ClientReport;
  /**
   * A visit in which nothing happens for longer hangs: every wait in it is bounded by a time-out of
   * the proxy.
   */
  readonly limitMs: number;
  /** What the other parties know of this exchange. */
  readonly situation: (id: string) => string;
};

/** Resolves when the connection of the visit has closed. */
export function playVisit(options: VisitOptions): Promise<void> {
  return new Promise((done) => {
    const running = new RunningVisit(options, () => {
      clearTimeout(timer);
      done();
    });
    // On a busy machine a visit of twelve exchanges takes longer than the limit, and goes on.
    const look = (): void => {
      const leftMs = options.limitMs - running.quietMs;
      if (leftMs > 0) timer = setTimeout(look, leftMs);
      else running.giveUp();
    };
    let timer = setTimeout(look, options.limitMs);
  });
}

const crlf = '\r\n';

function headOf(exchange: PlannedExchange, extra: readonly string[]): string {
  const { method, framing, bodyBytes, id } = exchange;
  const bytes = soakBody(id, bodyBytes).length;
  const lines = [`${method} ${targetOf(exchange)} HTTP/1.1`, 'Host: h1.t.mesh', ...extra];
  if (framing !== 'none') lines.push(`X-Body-Bytes: ${bytes}`);
  if (framing === 'length') lines.push(`Content-Length: ${bytes}`);
  if (framing === 'chunked') lines.push('Transfer-Encoding: chunked');
  if (exchange.deed.includes('switch')) lines.push('Connection: upgrade', 'Upgrade: soak');
  return lines.join(crlf) + crlf + crlf;
}

function bodyOf({ framing, bodyBytes, id }: PlannedExchange): string {
  if (framing === 'none') return '';
  const body = soakBody(id, bodyBytes);
  if (framing === 'length') return body;
  const half = body.length >> 1;
  const chunks = [body.slice(0, half), body.slice(half)].filter((part) => part !== '');
  const text = chunks.map((part) => `${part.length.toString(16)}${crlf}${part}${crlf}`).join('');
  return `${text}0${crlf}${bodyBytes % 3 === 0 ? `X-Sum: 1${crlf}` : ''}${crlf}`;
}

const answersCut: ReadonlySet<string> = new Set(['cut-length', 'cut-chunked', 'stall-body']);

class RunningVisit {
  readonly #visit: Visit;
  readonly #report: ClientReport;
  readonly #socket: net.Socket;
  readonly #reader: SoakReader;
  readonly #trace = new VisitTrace();
  readonly #situation: (id: string) => string;
  #answers = 0;
  #hasBodyGone = false;
  /** The proxy has said, or the plan wants, that nothing more comes. */
  #mayEnd = false;
  #hasLeft = false;

  constructor(options: VisitOptions, done: () => void) {
    const { port, localAddress, visit, report } = options;
    this.#situation = options.situation;
    this.#visit = visit;
    this.#report = report;
    this.#reader = new SoakReader({
      head: (message) => this.#headCame(message),
      message: (message) => this.#messageCame(message),
    });
    const address = { port, host: '127.0.0.1', localAddress };
    const socket = net.connect({ ...address, allowHalfOpen: true, noDelay: true });
    this.#socket = socket;
    socket.on('connect', () => {
      this.#trace.note('connect');
      this.#begin();
    });
    socket.on('data', (data) => this.#read(data));
    socket.on('end', () => this.#ended());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed();
      done();
    });
  }

  /** How long nothing has happened. */
  get quietMs(): number {
    return this.#trace.quietMs;
  }

  giveUp(): void {
    const id = this.#current?.id ?? this.#visit.exchanges.at(-1)?.id ?? '';
    const { exchanges } = this.#visit;
    const facts = [
      `${this.#answers} of ${exchanges.length} answered`,
      `inside ${this.#reader.isInside}, may end ${this.#mayEnd}, has left ${this.#hasLeft}`,
      this.#trace.describe(this.#socket),
      this.#situation(id),
    ];
    this.#fault(`hangs: ${facts.join('; ')}`);
    this.#leave(() => this.#socket.destroy());
  }

  // ---- sending --------------------------------------------------------------------------------

  #begin(): void {
    const { exchanges, isPipelined, end } = this.#visit;
    if (end === 'unread' && (isPipelined || exchanges.length === 1)) this.#stopReading();
    if (!isPipelined) {
      this.#sendNext(0);
      return;
    }
    const whole = exchanges.slice(0, -1).map((one) => headOf(one, []) + bodyOf(one));
    this.#report.exchanges += whole.length;
    this.#send(whole.join(''), () => this.#sendLast());
  }

  #sendNext(index: number): void {
    const exchange = this.#visit.exchanges[index];
    if (exchange === undefined) return;
    if (index === this.#visit.exchanges.length - 1) {
      this.#sendLast();
      return;
    }
    this.#report.exchanges += 1;
    this.#send(headOf(exchange, []) + bodyOf(exchange));
  }

  #sendLast(): void {
    const { end, random } = this.#visit;
    const exchange = this.#visit.exchanges.at(-1);
    if (exchange === undefined) return;
    this.#report.exchanges += 1;
    const socket = this.#socket;
    const head = headOf(exchange, []);
    const text = head + bodyOf(exchange);
    const part = Math.floor(random() * (bodyOf(exchange).length - 1));
    const cutBody = text.slice(0, head.length + part);
    switch (end) {
      case 'fin':
        this.#mayEnd = exchange.framing === 'none';
        this.#send(text, () => socket.end());
        return;
      case 'says-close':
        this.#mayEnd = true;
        this.#send(headOf(exchange, ['Connection: close']) + bodyOf(exchange));
        return;
      case 'continue':
        this.#mayEnd = true;
        this.#send(headOf(exchange, ['Expect: 100-continue']));
        return;
      case 'cut-head':
        this.#send(head.slice(0, 1 + Math.floor(random() * (head.length - 2))), () => this.#cut());
        return;
      case 'stall-head':
        this.#send(head.slice(0, 1 + Math.floor(random() * (head.length - 2))));
        return;
      case 'cut-body':
      case 'cut-chunks':
        this.#send(cutBody, () => this.#cut());
        return;
      case 'reset-body':
        this.#send(cutBody, () => this.#leave(() => socket.resetAndDestroy()));
        return;
      case 'stall-body':
        this.#send(cutBody);
        return;
      case 'reset-after':
        this.#send(text, () => this.#leaveSoon(() => socket.resetAndDestroy()));
        return;
      case 'leave-after':
        this.#send(text, () => this.#leaveSoon(() => socket.destroy()));
        return;
      case 'unread':
        this.#stopReading();
        this.#send(text);
        return;
      default:
        this.#send(text);
    }
  }

  /** Now and then in two pieces, a turn of the loop apart. */
  #send(text: string, then: () => void = () => undefined): void {
    const { random } = this.#visit;
    const cut = random() < 0.1 ? Math.floor(random() * text.length) : text.length;
    this.#trace.sent(text.slice(0, cut));
    this.#socket.write(text.slice(0, cut), 'latin1');
    if (cut === text.length) {
      then();
      return;
    }
    setImmediate(() => {
      if (this.#hasLeft) return;
      this.#trace.sent(text.slice(cut));
      this.#socket.write(text.slice(cut), 'latin1');
      then();
    });
  }

  // ---- leaving --------------------------------------------------------------------------------

  /** In one of the ways in which clients go. */
  #cut(): void {
    const chance = this.#visit.random();
    if (chance < 0.4) this.#leave(() => this.#socket.resetAndDestroy());
    else if (chance < 0.8) this.#leave(() => this.#socket.destroy());
    else this.#leave(() => this.#socket.end());
  }

  #leaveSoon(go: () => void): void {
    setTimeout(() => this.#leave(go), this.#visit.random() * 8);
  }

  #leave(go: () => void): void {
    this.#trace.note('leave');
    this.#mayEnd = true;
    this.#hasLeft = true;
    go();
  }

  /** Longer than the time-outs of the soak, mostly. */
  #stopReading(): void {
    this.#trace.note('pause');
    this.#socket.pause();
    const restMs = 200 + this.#visit.random() * 900;
    const isPatient = this.#visit.random() < 0.5;
    setTimeout(() => {
      this.#trace.note(isPatient ? 'resume' : 'impatient');
      if (isPatient) this.#socket.resume();
      else this.#leave(() => this.#socket.destroy());
    }, restMs);
  }

  // ---- reading --------------------------------------------------------------------------------

  get #current(): PlannedExchange | undefined {
    return this.#visit.exchanges[this.#answers];
  }

  get #isLast(): boolean {
    return this.#answers === this.#visit.exchanges.length - 1;
  }

  #read(data: Buffer): void {
    this.#trace.read(data);
    this.#reader.push(data);
    if (this.#visit.end === 'reset-inside' && this.#isLast && this.#reader.isInside) {
      this.#leave(() => this.#socket.resetAndDestroy());
    }
  }

  #headCame({ start, fields }: SoakMessage): 'body' | 'no-body' {
    const status = Number(start.slice(9, 12));
    if (status === 101) {
      this.#playTunnel();
      return 'no-body';
    }
    if (status >= 200 && fields.get('connection') === 'close') this.#mayEnd = true;
    const isBodyless = status < 200 || status === 204 || status === 304;
    return isBodyless || this.#current?.method === 'HEAD' ? 'no-body' : 'body';
  }

  #messageCame(message: SoakMessage): void {
    const status = Number(message.start.slice(9, 12));
    const { end } = this.#visit;
    if (status < 200) {
      if (status === 100 && end === 'continue' && this.#isLast) this.#sendAwaitedBody();
      return;
    }
    this.#check(message, status);
    this.#answers += 1;
    if (this.#current === undefined) this.#lastAnswered();
    else if (!this.#visit.isPipelined) this.#sendNext(this.#answers);
  }

  #sendAwaitedBody(): void {
    const exchange = this.#current;
    if (exchange === undefined || this.#hasBodyGone) return;
    this.#hasBodyGone = true;
    this.#send(bodyOf(exchange));
  }

  #check(message: SoakMessage, status: number): void {
    const { refused } = this.#report;
    const reason = message.fields.get('weft-reason');
    const exchange = this.#current;
    if (exchange === undefined) {
      this.#fault(`an answer that nobody asked for: ${message.start}`);
      return;
    }
    if (reason !== undefined) {
      refused.set(reason, (refused.get(reason) ?? 0) + 1);
      if (reason === 'Bug') this.#fault('a bug');
      return;
    }
    const fault = this.#answerFault(exchange, message, status);
    if (fault === undefined) this.#report.answered += 1;
    else this.#fault(fault);
  }

  #answerFault(
    exchange: PlannedExchange,
    message: SoakMessage,
    status: number,
  ): string | undefined {
    const { id, deed, method, answerBytes } = exchange;
    if (deed === 'no-content' || deed === 'not-modified') {
      return message.fields.get('x-id') === id ? undefined : `${message.start} for ${deed}`;
    }
    if (deed === 'early') return status === 413 ? undefined : `${message.start} for ${deed}`;
    if (status !== 200) return `${message.start} for ${deed}`;
    if (method === 'HEAD') return undefined;
    if (answersCut.has(deed)) return 'a cut answer looks whole';
    return bodyFault(message, id, answerBytes);
  }

  #lastAnswered(): void {
    const { end } = this.#visit;
    this.#mayEnd = true;
    if (end === 'leave') this.#leave(() => this.#socket.destroy());
    else if (end !== 'says-close') this.#socket.end();
  }

  #playTunnel(): void {
    const socket = this.#socket;
    const exchange = this.#current;
    this.#mayEnd = true;
    this.#reader.turnRaw();
    this.#answers += 1;
    this.#report.answered += 1;
    if (this.#visit.end === 'tunnel-reset') {
      this.#leave(() => socket.resetAndDestroy());
      return;
    }
    socket.write('ping');
    socket.on('data', () => {
      if (!this.#reader.rawText.endsWith('ping')) return;
      if (exchange?.deed === 'switch-echo') socket.end();
      else if (exchange?.deed === 'switch-stay') this.#leave(() => socket.destroy());
    });
  }

  // ---- the end --------------------------------------------------------------------------------

  #ended(): void {
    this.#trace.note('end');
    this.#reader.close();
    this.#socket.end();
  }

  #closed(): void {
    const isBroken = this.#isLast || this.#mayEnd || this.#hasLeft;
    if (!isBroken) this.#report.unanswered += 1;
  }

  #fault(what: string): void {
    const { end, isPipelined } = this.#visit;
    const place = `${this.#current?.id ?? 'after all'} ${this.#current?.deed ?? ''}`;
    const how = `end ${end}${isPipelined ? ', pipelined' : ''}`;
    this.#report.violations.push(`client: ${what} (${place}, ${how})`);
  }
}

// What an exchange is made of: the client whose request it is, what follows from its head, and the
// engine that all exchanges of a worker share.
import type { Client } from './client.ts';
import type { Engine } from './engine.ts';
import type { Plan } from './hop.ts';
import type { ExchangeFacts } from './observer.ts';

export type ExchangeOptions = {
  readonly engine: Engine;
  readonly client: Client;
  /** Made of the head and of the table that is in force now. */
  readonly plan: Plan;
  /** There is no body, or it is empty. */
  readonly isBodyComplete: boolean;
  /** Of this request, where its head is the one that the plan was made of but for them. */
  readonly ids?: Pick<ExchangeFacts, 'requestId' | 'traceparent'> | undefined;
};

// GET pods/NAME:PORT/proxy/PATH: the server asks the pod and hands on what it says, as
// `kubectl get --raw` and `weft check` use it. Nothing is kept of it, and the client's token does
// not travel with it. A real server refuses loopback addresses here (a named deviation).
import { request as askPod, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ApiContext } from './context.ts';
import { listAt, numberAt, textAt } from './json.ts';
import { badRequest, notFound, refusal } from './status.ts';

/** Where a proxied request goes. */
export type PodProxyTarget = {
  readonly host: string;
  readonly port: number;
  /** With the query. */
  readonly path: string;
};

/** The colon of `NAME:PORT` may come encoded. */
const shape =
  /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/:%]+)(?:(?::|%3[Aa])(\d{1,5}))?\/proxy(\/.*)?$/;
const answerTimeoutMs = 30_000;

/** `undefined` when the path is none of a pod's proxy; throws for a pod that cannot be asked. */
export function podProxyTarget(api: ApiContext, url: URL): PodProxyTarget | undefined {
  const parts = shape.exec(url.pathname);
  if (parts === null) return undefined;
  const [, namespace = '', name = '', asked, path = '/'] = parts;
  const pod = api.storage.get('/pods', namespace, name);
  if (pod === undefined) throw notFound({ group: '', plural: 'pods', name });
  const host = textAt(pod, 'status', 'podIP') ?? '';
  if (host === '') throw badRequest('address not allowed');
  const declared = listAt(pod, 'spec', 'containers')
    .flatMap((container) => listAt(container, 'ports'))
    .map((port) => numberAt(port, 'containerPort'));
  const port = asked === undefined ? (declared[0] ?? 80) : Number(asked);
  return { host, port, path: `${path}${url.search}` };
}

/** Answers with what the pod answers; throws 503 when it cannot be reached. */
export function forwardToPod(
  target: PodProxyTarget,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = 'GET' } = message;
  if (method !== 'GET') {
    throw refusal(405, 'MethodNotAllowed', 'only GET is proxied to pods here');
  }
  const headers = { accept: message.headers.accept ?? '*/*' };
  return new Promise((resolve, reject) => {
    const asked = askPod({ ...target, method, headers, agent: false, timeout: answerTimeoutMs });
    const unreachable = (error: Error): void => {
      const why = `error trying to reach service: ${error.message}`;
      reject(refusal(503, 'ServiceUnavailable', why));
    };
    asked.once('timeout', () => asked.destroy(new Error('no answer in time')));
    asked.once('error', unreachable);
    asked.once('response', (answer) => {
      const { 'content-type': type = 'application/octet-stream' } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, { 'content-type': type });
      answer.once('error', () => response.destroy());
      answer.pipe(response);
      response.once('close', () => {
        asked.destroy();
        resolve();
      });
    });
    asked.end();
  });
}

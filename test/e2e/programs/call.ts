// A few calls from within a pod, one after the other, without trying again; prints what came of
// each as one JSON array. The argument is a list of calls.
import { request } from 'node:http';

type Call = {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
  readonly times?: number;
};
type Answer = {
  readonly status: number;
  readonly reason: string;
  readonly body: string;
  readonly error: string;
};

function once(call: Call): Promise<Answer> {
  const { url, method = 'GET', headers = {}, body: sent, timeoutMs = 10_000 } = call;
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException): void =>
      resolve({ status: 0, reason: '', body: '', error: error.code ?? error.message });
    const asked = request(url, { method, headers, agent: false, timeout: timeoutMs });
    asked.on('timeout', () => asked.destroy(new Error(`no answer for ${timeoutMs / 1_000} s`)));
    asked.on('error', fail);
    asked.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', fail);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: String(response.headers['weft-reason'] ?? ''),
          body,
          error: '',
        }),
      );
    });
    asked.end(sent);
  });
}

// The argument is written by the suite.
const calls = JSON.parse(process.argv[2] ?? '[]') as readonly Call[];
const answers: Answer[] = [];
for (const call of calls) {
  for (let time = 0; time < (call.times ?? 1); time += 1) answers.push(await once(call));
}
process.stdout.write(JSON.stringify(answers));

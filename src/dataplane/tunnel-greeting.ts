// The first line that the server side of a tunnel sends: whether it takes the peer. The client side
// sends nothing before it has read `ok`, so that whatever was refused was provably unsent: in TLS
// 1.3 a client believes itself connected before the server has judged its certificate.

/** The whole line; more is no greeting. */
const greetingBytesMax = 128;

export type Greeting =
  | { readonly kind: 'ok'; readonly build: string }
  | { readonly kind: 'no'; readonly reason: string; readonly build: string };

const word = /[^\x21-\x7e]/g;

export function renderGreeting(greeting: Greeting): string {
  const build = greeting.build.replace(word, '').slice(0, 60);
  return greeting.kind === 'ok' ? `ok ${build}\r\n` : `no ${greeting.reason} ${build}\r\n`;
}

const line = /^(?:ok|no ([A-Za-z]{1,50})) ([\x21-\x7e]{0,60})\r\n$/;

/** Undefined: more has to come. Malformed, too long or followed by anything: a refusal. */
export function readGreeting(text: string): Greeting | undefined {
  if (!text.endsWith('\n') && text.length < greetingBytesMax) return undefined;
  const found = line.exec(text);
  if (found === null) return { kind: 'no', reason: 'GreetingMalformed', build: '' };
  const [, reason, build = ''] = found;
  return reason === undefined ? { kind: 'ok', build } : { kind: 'no', reason, build };
}

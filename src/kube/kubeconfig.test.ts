// Kubeconfig files: what clusters hand out, and what is wrong with the others.
// What the files that they mention hold is the matter of credentials.test.ts.
import { describe, expect, test } from 'vitest';
import { readKubeconfig } from './kubeconfig.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function config(cluster: string, user: string): string {
  return `
apiVersion: v1
kind: Config
current-context: one
contexts:
- name: one
  context: {cluster: c, user: u, namespace: shop}
- name: two
  context: {cluster: d, user: u}
clusters:
- name: c
  cluster: ${cluster}
- name: d
  cluster: {server: "https://d:6443"}
users:
- name: u
  user: ${user}
`;
}

describe('a kubeconfig', () => {
  test('gives certificates as data or as files, and data wins', () => {
    const authority = `certificate-authority-data: ${base64('CA')}, certificate-authority: x`;
    const user = `{client-certificate: crt.pem, client-key-data: ${base64('KEY')}}`;
    const text = config(`{server: "https://c:6443", ${authority}}`, user);
    const facts = readKubeconfig(text, 'file', undefined);
    expect(facts).toEqual({
      server: 'https://c:6443',
      ca: { kind: 'text', value: 'CA' },
      cert: { kind: 'file', value: 'crt.pem' },
      key: { kind: 'text', value: 'KEY' },
      token: undefined,
      isInsecure: false,
      serverName: undefined,
      needsPlugin: false,
    });
  });

  test('gives a token or the file of one, a server name and no verification', () => {
    const cluster =
      '{server: "https://c", insecure-skip-tls-verify: true, tls-server-name: kubernetes}';
    const facts = readKubeconfig(config(cluster, '{token: t, tokenFile: f}'), 'file', undefined);
    expect(facts).toMatchObject({
      token: { kind: 'file', value: 'f' },
      isInsecure: true,
      serverName: 'kubernetes',
    });
  });

  test('is read in the context that was asked for', () => {
    const text = config('{server: "https://c"}', '{token: t}');
    expect(readKubeconfig(text, 'file', 'two').server).toBe('https://d:6443');
  });

  test('that needs a program to be run says so', () => {
    const text = config('{server: "https://c"}', '{exec: {command: aws}}');
    expect(readKubeconfig(text, 'file', undefined).needsPlugin).toBe(true);
  });

  const bad: readonly (readonly [what: string, text: string, says: string])[] = [
    ['no YAML', '{', 'not valid YAML'],
    ['nothing', '', 'no current-context'],
    ['a list', '[1, 2]', 'no current-context'],
    ['no such context', 'current-context: x', 'no context "x"'],
    ['no server', config('{}', '{}'), 'names no server'],
    ['a proxy', config('{server: "https://c", proxy-url: "http://p"}', '{}'), 'proxy-url'],
  ];
  for (const [what, text, says] of bad) {
    test(`with ${what} is refused with the reason`, () => {
      expect(() => readKubeconfig(text, '/some/file', undefined)).toThrow(says);
      expect(() => readKubeconfig(text, '/some/file', undefined)).toThrow('/some/file');
    });
  }
});

// Request targets: the forms of RFC 9112 section 3.2, and which paths are ambiguous. What passes is
// forwarded byte for byte.
import { describe, expect, test } from 'vitest';
import { parseTarget } from './target.ts';

describe('target forms', () => {
  test.each([
    ['GET', '/', '/', '/', undefined, undefined],
    ['GET', '/a?b=c?d', '/a?b=c?d', '/a', 'b=c?d', undefined],
    ['GET', '/a?', '/a?', '/a', '', undefined],
    ['GET', '//evil.test/x', '//evil.test/x', '//evil.test/x', undefined, undefined],
    ['GET', 'http://a.b/c?d', '/c?d', '/c', 'd', 'a.b'],
    ['GET', 'HTTP://A.b', '/', '/', undefined, 'A.b'],
    ['GET', 'http://a.b?x', '/?x', '/', 'x', 'a.b'],
    ['OPTIONS', 'http://a.b:80', '*', '*', undefined, 'a.b:80'],
    ['OPTIONS', 'http://a.b/', '/', '/', undefined, 'a.b'],
    ['OPTIONS', '*', '*', '*', undefined, undefined],
  ])('%s %s is forwarded as %s', (method, raw, target, path, query, authority) => {
    const parsed = parseTarget(method, raw);
    expect(parsed).toMatchObject({ kind: 'target', target, path, query });
    expect(parsed.kind === 'target' ? parsed.authority?.text : 'reject').toBe(authority);
  });

  test.each([
    ['GET', '*'],
    ['OPTIONS', '*/x'],
    ['OPTIONS', '**'],
    ['GET', 'admin'],
    ['GET', 'echo.test:80'],
    ['GET', 'https://a.b/'],
    ['GET', 'ftp://a.b/'],
    ['GET', 'http:/a'],
    ['GET', 'http:a'],
    ['GET', '?x'],
  ])('%s %s is refused', (method, raw) => {
    expect(parseTarget(method, raw)).toMatchObject({ status: 400, reason: 'BadRequestSyntax' });
  });

  test.each(['http://', 'http:///x', 'http://u@a/', 'http://a b/', 'http://a:x/', 'http://?q'])(
    '%s names no host',
    (raw) => {
      expect(parseTarget('GET', raw)).toMatchObject({ status: 400, reason: 'BadRequestHost' });
    },
  );

  test.each([
    ['CONNECT', 'a.b:443'],
    ['CONNECT', '/'],
    ['TRACE', '/'],
  ])('%s is not forwarded', (method, raw) => {
    const unsupported = { status: 501, reason: 'BadRequestUnsupported' };
    expect(parseTarget(method, raw)).toMatchObject(unsupported);
  });
});

describe('paths', () => {
  test.each([
    '/a/./b',
    '/a/../b',
    '/.',
    '/..',
    '/a/..',
    '/a/.',
    '/a/%2e%2e/b',
    '/a/%2E%2e/b',
    '/a/.%2e/b',
    '/a/%2e/b',
    '/a%2f..%2fb',
    '/a%2F..',
    '/a%5c..%5cb',
    '/a%5C%2e%2E',
    '/..%2f',
    '/a/..;/b',
    '/a/..;x=1/b',
    '/a/.;/b',
    '/a/%2e%2e;/b',
    '/a/..%3b/b',
    '/a;x/../b',
    '/a;x/%2e%2e;y/b',
    '/a\\b',
    '/a/..\\b',
    '/\\',
    '/a%00',
    '/a%0a/b',
    '/a%0D',
    '/a%1f',
    '/a%7f',
    '/a%',
    '/a%2',
    '/a%zz',
    '/a%2g/b',
    '/%%32%65',
    'http://a.b/x/../y',
  ])('%s is ambiguous', (raw) => {
    expect(parseTarget('GET', raw)).toMatchObject({ status: 400, reason: 'BadRequestSyntax' });
  });

  test.each([
    '/...',
    '/a/.../b',
    '/.well-known/acme',
    '/a.b/c..d',
    '/..a/b',
    '/a../b',
    '/a;..',
    '/a;x=../b',
    '/;a/b',
    '/a%20b',
    '/%252e%252e/b',
    '/%25',
    '/%c0%ae%c0%ae/b',
    '/a?x=/../y',
    '/a?x=%00\\%zz',
    '/a"<>[]^`{|}',
    '//',
  ])('%s passes unchanged', (raw) => {
    expect(parseTarget('GET', raw)).toMatchObject({ target: raw, hasEncodedSlash: false });
  });

  test.each(['/group%2Fproject', '/a%2f', '/a%5cb'])('%s holds an encoded slash', (raw) => {
    expect(parseTarget('GET', raw)).toMatchObject({ target: raw, hasEncodedSlash: true });
  });
});

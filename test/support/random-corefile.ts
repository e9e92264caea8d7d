// Corefiles from a seed, for laws: server blocks, snippets, imports, comments, quotes, odd white
// space, line ends of both kinds, with and without a final one; and texts that are broken on
// purpose. What they say is nonsense; what matters is where braces and line ends stand.
import type { Random } from '../../src/lib/clock.ts';

export function randomCorefile(random: Random): string {
  const eol = random() < 0.25 ? '\r\n' : '\n';
  const indent = pick(random, ['    ', '\t', '  ']);
  const parts = Array.from({ length: 1 + count(random, 4) }, () => part(random, indent));
  parts.splice(count(random, parts.length), 0, rootBlock(random, indent));
  const gap = () => pick(random, ['\n', '\n\n', '\n \t\n']);
  const text = parts.map((one) => one + gap()).join('');
  const front = pick(random, ['', '', '', '\ufeff', '\n', '# made by hand\n']);
  const whole = front + (random() < 0.3 ? text.trimEnd() : text);
  return eol === '\n' ? whole : whole.replaceAll('\n', eol);
}

/** A Corefile with a character or two lost, doubled or put somewhere else. */
export function brokenCorefile(random: Random): string {
  let text = randomCorefile(random);
  for (let left = 1 + count(random, 3); left > 0; left -= 1) {
    const at = count(random, text.length);
    const length = count(random, 12);
    const piece = text.slice(at, at + length);
    const marks = ['{', '}', '"', '#', '\n', '# weft:end\n', '\u0000'] as const;
    const odd = pick(random, ['', piece + piece, ...marks]);
    text = text.slice(0, at) + odd + text.slice(at + length);
  }
  return text;
}

function rootBlock(random: Random, indent: string): string {
  const many = ['.:53 .:5353', 'other.example, .:1053'] as const;
  const keys = pick(random, ['.:53', '.', 'dns://.:53', ...many, '.:{$P}']);
  const bind = random() < 0.3 ? `${indent}bind 169.254.20.10 10.96.0.10\n` : '';
  return `${keys} {\n${bind}${lines(random, indent)}${indent}reload\n}`;
}

function part(random: Random, indent: string): string {
  const name = `zone-${count(random, 1_000_000)}.example`;
  switch (count(random, 5)) {
    case 0:
      return `# ${name} { is commented } out`;
    case 1:
      return 'import custom/*.server';
    case 2:
      return `(snippet-${name}) {\n${lines(random, indent)}}`;
    case 3:
      return `${name}:53,\n${name}:5353 ${pick(random, ['', '# why'])}\n${braced(random, indent)}`;
    default:
      return `${name}${pick(random, ['', ':53'])} {\n${lines(random, indent)}}`;
  }
}

function braced(random: Random, indent: string): string {
  return `{\n${lines(random, indent)}}`;
}

function lines(random: Random, indent: string): string {
  return Array.from({ length: count(random, 4) }, () => {
    const line = pick(random, [
      'errors',
      'log # }',
      'cache 30 {\n  denial 9984 5\n}',
      'forward . /etc/resolv.conf {\n  max_concurrent 1000\n  }',
      'template IN A {\n answer "{{ .Name }} 60 IN A \\"1.2.3.4\\""\n}',
      'import snippet',
      '"errors"',
      'hosts {\n10.0.0.1 a.example # {\n\n}',
    ]);
    return `${indent}${line}\n`;
  }).join('');
}

function count(random: Random, below: number): number {
  return Math.floor(random() * below);
}

function pick<T>(random: Random, items: readonly [T, ...T[]]): T {
  return items[count(random, items.length)] ?? items[0];
}

// Golden cases as text: one Markdown file holds several, each a title, prose that says why, and
// fenced blocks. `cluster` and `settings` are input; `problems` and `decisions` are what comes out,
// and only what comes out is ever rewritten.

export type GoldenCase = {
  readonly title: string;
  /** Contents of the fenced blocks by their second word (`cluster`, `decisions` …). */
  readonly blocks: ReadonlyMap<string, string>;
};

/** Outputs of a case; rewritten when they differ and `UPDATE_GOLDEN=1` says so. */
export type GoldenOutput = { readonly problems: string; readonly decisions: string };

const fence = /^```(\w+) (\w+)\n([\s\S]*?)^```$/gm;
const heading = /^# (.+)$/m;

/** The cases of a file in their order. */
export function readCases(text: string): readonly GoldenCase[] {
  return sectionsOf(text).map((section) => ({
    title: heading.exec(section)?.[1] ?? '',
    blocks: new Map(
      [...section.matchAll(fence)].map(([, , name, body]) => [name ?? '', body ?? '']),
    ),
  }));
}

/** The file with the outputs of its cases in place of what stood there. */
export function rewriteCases(text: string, outputs: readonly GoldenOutput[]): string {
  return sectionsOf(text)
    .map((section, index) => {
      const output = outputs[index];
      return output === undefined ? section : rewriteSection(section, output);
    })
    .join('');
}

function rewriteSection(section: string, output: GoldenOutput): string {
  let rewritten = section.replace(fence, (whole, language: string, name: string) => {
    if (name === 'decisions') return fenced(language, name, output.decisions);
    if (name === 'problems')
      return output.problems === '' ? '' : fenced(language, name, output.problems);
    return whole;
  });
  if (output.problems !== '' && !rewritten.includes('```text problems')) {
    rewritten = rewritten.replace(
      '```text decisions',
      `${fenced('text', 'problems', output.problems)}\n\`\`\`text decisions`,
    );
  }
  return rewritten;
}

function fenced(language: string, name: string, body: string): string {
  return `\`\`\`${language} ${name}\n${body}\`\`\``;
}

/** Each section begins with its heading; text before the first one belongs to the first. */
function sectionsOf(text: string): readonly string[] {
  return text.split(/^(?=# )/m);
}

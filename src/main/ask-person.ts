// Asks the person at the terminal; where stdin is none nobody is there. The end of the input
// (Ctrl-D) is no answer either.
import { createInterface } from 'node:readline/promises';

export async function askPerson(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const ended = new Promise<undefined>((resolve) =>
      lines.once('close', () => resolve(undefined)),
    );
    return await Promise.race([lines.question(question), ended]);
  } finally {
    lines.close();
  }
}

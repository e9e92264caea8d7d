// Asking a person before something is changed. Where nobody can be asked the answer is no, with a
// word about the flag that stands for yes.

/** A line that a person types; `undefined` when nobody can be asked. */
export type Ask = (question: string) => Promise<string | undefined>;

export type AskWiring = {
  readonly ask: Ask;
  readonly writeError: (text: string) => void;
};

export async function isYes(
  command: string,
  question: string,
  wiring: AskWiring,
): Promise<boolean> {
  const answer = await wiring.ask(question);
  if (answer === undefined) {
    wiring.writeError(`weft ${command}: nobody to ask (say --yes, or --dry-run)\n`);
    return false;
  }
  return /^y(es)?$/i.test(answer.trim());
}

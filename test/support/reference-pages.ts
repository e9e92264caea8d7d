// The generated pages of docs/reference: path → text, each rendered from the table that the product
// itself reads.
import { readFileSync } from 'node:fs';
import { annotationReference } from '../../src/api/annotation-reference.ts';
import { settingsReference } from '../../src/api/settings-reference.ts';
import { renderDenialReasons } from '../../src/controller/identity/denial-reasons.ts';
import { problemsHeading, renderProblemReasons } from '../../src/controller/problem-reasons.ts';
import { renderMetricsReference } from '../../src/telemetry/metrics-reference.ts';

export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/settings.md', settingsReference()],
    ['docs/reference/annotations.md', annotationReference()],
    ['docs/reference/metrics.md', renderMetricsReference()],
    ['docs/reference/reasons.md', reasonsPage()],
  ]);
}

/** Reasons of answers are written by hand; all others follow them, from their tables. */
function reasonsPage(): string {
  const [answers = ''] = readFileSync('docs/reference/reasons.md', 'utf8').split(problemsHeading);
  return `${answers}${renderProblemReasons()}\n${renderDenialReasons()}`;
}

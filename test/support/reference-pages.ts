// The generated pages of docs/reference: path → text, each rendered from the table that the product
// itself reads.
import { annotationReference } from '../../src/api/annotation-reference.ts';
import { settingsReference } from '../../src/api/settings-reference.ts';
import { renderMetricsReference } from '../../src/telemetry/metrics-reference.ts';

export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/settings.md', settingsReference()],
    ['docs/reference/annotations.md', annotationReference()],
    ['docs/reference/metrics.md', renderMetricsReference()],
  ]);
}

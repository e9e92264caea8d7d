// The Helm chart as files: its templates are the very manifests of `weft install`, made with
// expressions in the place of values. What a user sees of a chart – values.yaml, its schema,
// NOTES.txt – comes from the tree of values.
import { chartFacts, expressionPattern, namedTemplates } from './chart-facts.ts';
import { allGroups, type GroupName } from './install-objects.ts';
import { entriesOf, isMap, type Json, type JsonMap } from './json.ts';
import type { Remark } from './manifest.ts';
import { renderDocument, renderYaml } from './render-yaml.ts';
import { childrenOf, initialOf, schemaOf, type Group } from './value-tree.ts';
import { valueTree } from './values.ts';

/** Template of a group, and the condition under which it gives anything. */
const conditions: { readonly [G in GroupName]: string | undefined } = {
  // Helm makes the namespace itself (--create-namespace) and would refuse to adopt one.
  namespace: undefined,
  // With comments and anchors, from the files that people read: see crdTemplates.
  crds: undefined,
  quota: '.Values.criticalPodsQuota.enabled',
  access: 'true',
  proxy: 'true',
  controller: 'true',
  'pod-monitor': byOperator('podMonitor', 'PodMonitor'),
  'prometheus-rule': byOperator('prometheusRule', 'PrometheusRule'),
  'grafana-dashboard': '.Values.monitoring.grafanaDashboard.enabled',
  admission: `and .Values.admissionPolicy.enabled (or ${[
    '(.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy")',
    // Offline, Helm knows versions but no kinds: since 1.30 the kind is there.
    '(semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version)',
  ].join(' ')})`,
};

/** Wanted, and served: the kinds are those of the Prometheus operator. */
function byOperator(value: string, kind: string): string {
  const served = `(.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/${kind}")`;
  return `and .Values.monitoring.${value}.enabled ${served}`;
}

/** Path below the chart → text. `definitions`: the files of smi/crds by name. */
export function chartFiles(
  version: string,
  definitions: ReadonlyMap<string, string>,
  notes: string,
): ReadonlyMap<string, string> {
  const files = new Map<string, string>([
    ['Chart.yaml', chartDescription(version)],
    ['values.yaml', valuesFile()],
    ['values.schema.json', `${JSON.stringify(valuesSchema(), null, 2)}\n`],
    ['templates/_names.tpl', namedTemplates()],
    ['templates/NOTES.txt', notes],
  ]);
  for (const { name, manifests } of allGroups(chartFacts())) {
    const condition = conditions[name];
    if (condition === undefined) continue;
    files.set(`templates/${name}.yaml`, template(renderYaml(manifests), condition));
  }
  for (const [name, text] of definitions) {
    files.set(`templates/crds/${name}`, definitionTemplate(text));
  }
  return files;
}

function template(yaml: string, condition: string): string {
  // What is literally there is no expression: Prometheus has templates of the same look.
  const literal = yaml.replaceAll('{{', '{{ "{{" }}');
  const lines = literal.split('\n').map(placeExpressions).join('\n');
  return condition === 'true' ? lines : `{{- if ${condition} }}\n${lines}{{- end }}\n`;
}

/** Expressions that take a whole line, because they may give none or several. */
const wholeLine = /^( *)(.+?): ["']?⟦(more|filled):(.*?)⟧["']?$|^( *)- ["']?⟦more:(.*?)⟧["']?$/;

function placeExpressions(line: string): string {
  const [, blanks = '', name = '', form, source = '', itemBlanks, item] =
    wholeLine.exec(line) ?? [];
  // YAML quotes a text that has a quote in it.
  if (item !== undefined) return lines(itemBlanks ?? '', item.replaceAll('\\"', '"'));
  if (form === 'more') {
    return `${blanks}{{- with ${source} }}{{ toYaml . | nindent ${blanks.length} }}{{ end }}`;
  }
  if (form === 'filled') {
    return [
      `${blanks}{{- with ${source} }}`,
      `${blanks}${name}: {{- toYaml . | nindent ${blanks.length + 2} }}`,
      `${blanks}{{- end }}`,
    ].join('\n');
  }
  return line.replace(expressionPattern, (_all, quote: string, kind: string, text: string) => {
    const plain = quote === '"' ? text.replaceAll('\\"', '"') : text;
    return kind === 'text' ? `{{ ${plain} | quote }}` : `{{ ${plain} }}`;
  });
}

/** Items at the place of one. */
function lines(blanks: string, source: string): string {
  return `${blanks}{{- ${source} | nindent ${blanks.length} }}`;
}

/** Kept when the chart goes: with the definition all objects of its kind would go. */
function definitionTemplate(text: string): string {
  if (text.includes('{{')) throw new Error('BUG: a CRD holds what Helm takes for a template');
  const kept = text.replace(
    /^metadata:\n/m,
    'metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n',
  );
  return `{{- if .Values.crds.install }}\n${kept}{{- end }}\n`;
}

function chartDescription(version: string): string {
  return renderDocument(
    {
      apiVersion: 'v2',
      name: 'weft',
      description: 'A service mesh with one proxy per node, configured by SMI objects',
      type: 'application',
      version,
      appVersion: version,
      kubeVersion: '>=1.30.0-0',
      keywords: ['service-mesh', 'smi', 'networking'],
      annotations: {
        'artifacthub.io/category': 'networking',
        'artifacthub.io/license': 'Apache-2.0',
      },
    },
    [
      {
        path: ['kubeVersion'],
        text: 'internalTrafficPolicy, node names in tokens, ValidatingAdmissionPolicy',
      },
    ],
  );
}

function valuesFile(): string {
  const head =
    '# Values of the chart, with their defaults. Generated: npm run manifests.\n' +
    '# What may stand where is in values.schema.json; a name that is not there is refused.\n';
  return head + renderDocument(initialOf(valueTree), remarksOf(valueTree, []));
}

function remarksOf(node: Group<unknown>, path: readonly string[]): readonly Remark[] {
  return childrenOf(node).flatMap(([name, child]) => {
    const here = [...path, name];
    const own = { path: here, text: child.doc };
    return child.kind === 'leaf' ? [own] : [own, ...remarksOf(child, here)];
  });
}

/** As Helm takes it: JSON Schema proper. */
function valuesSchema(): JsonMap {
  const own = plainSchema(schemaOf(valueTree));
  const properties = isMap(own) ? new Map(entriesOf(own)).get('properties') : undefined;
  // Helm adds it to the values of every chart that another one includes.
  const global = { type: 'object' };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...(isMap(own) ? own : {}),
    properties: { ...(properties !== undefined && isMap(properties) ? properties : {}), global },
  };
}

function plainSchema(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map((one: Json) => plainSchema(one));
  if (!isMap(schema)) return schema;
  return Object.fromEntries(
    // With Helm a value that null took away is absent when the schema looks.
    entriesOf(schema).filter(([name]) => name !== 'required').map(([name, value]) =>
      name === 'x-kubernetes-int-or-string'
        ? (['type', ['integer', 'string']] as const)
        : ([name, plainSchema(value)] as const),
    ),
  );
}

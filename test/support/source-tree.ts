// Reads our own source with the TypeScript compiler, for test/tidy.test.ts: files, their imports,
// functions, exports and identifiers. It judges nothing.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

export type ImportEdge = {
  /** Path from the root for our own files, else the package or `node:` name. */
  readonly target: string;
  readonly isOurs: boolean;
  readonly isTypeOnly: boolean;
  readonly names: readonly string[];
};

export type FunctionFacts = {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
  readonly parameters: number;
  readonly nesting: number;
};

export type SourceFacts = {
  /** Path from the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly imports: readonly ImportEdge[];
  readonly functions: readonly FunctionFacts[];
  /** Names exported by declarations of this file (no re-exports). */
  readonly exports: readonly string[];
  /** Those of them that are types alone. */
  readonly exportedTypes: readonly string[];
  /** Statements that re-export: number of names, `export *` counts as one. */
  readonly reExports: number;
  /** Declared names: variables, functions, parameters, types, properties of types, members. */
  readonly declared: readonly string[];
  /** Uses of `any`, of `!` and of impure words, as `what:line`. */
  readonly marks: readonly { readonly what: string; readonly line: number }[];
};

const root = resolve(import.meta.dirname, '..', '..');

/** All TypeScript files below the folders given, sorted by path. */
export function readSources(folders: readonly string[]): SourceFacts[] {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .map((name) => join(folder, name).replaceAll('\\', '/')),
  );
  return paths.sort().map(readSource);
}

function readSource(path: string): SourceFacts {
  const text = readFileSync(join(root, path), 'utf8');
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const functions: FunctionFacts[] = [];
  const declared: string[] = [];
  const marks: { what: string; line: number }[] = [];
  const lineOf = (node: ts.Node) =>
    file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const visit = (node: ts.Node): void => {
    const facts = functionFacts(node, file, lineOf);
    if (facts !== undefined) functions.push(facts);
    const name = declaredName(node);
    if (name !== undefined) declared.push(name);
    const mark = markOf(node, file);
    if (mark !== undefined) marks.push({ what: mark, line: lineOf(node) });
    ts.forEachChild(node, visit);
  };
  visit(file);
  return {
    path,
    text,
    lines: text.split('\n'),
    imports: importsOf(file, path),
    functions,
    ...exportsOf(file),
    declared,
    marks,
  };
}

function importsOf(file: ts.SourceFile, path: string): ImportEdge[] {
  const edges: ImportEdge[] = [];
  const add = (specifier: string, isTypeOnly: boolean, names: readonly string[]): void => {
    const isOurs = specifier.startsWith('.');
    const target = isOurs
      ? relative(root, resolve(root, dirname(path), specifier)).replaceAll('\\', '/')
      : specifier;
    edges.push({ target, isOurs, isTypeOnly, names });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const clause = node.importClause;
      const named = clause?.namedBindings;
      const elements = named !== undefined && ts.isNamedImports(named) ? named.elements : [];
      const isTypeOnly =
        clause?.phaseModifier === ts.SyntaxKind.TypeKeyword ||
        (elements.length > 0 && elements.every((one) => one.isTypeOnly));
      add(
        node.moduleSpecifier.text,
        isTypeOnly,
        named !== undefined && ts.isNamespaceImport(named)
          ? ['*']
          : elements.map((one) => (one.propertyName ?? one.name).text),
      );
    }
    if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      const named = node.exportClause;
      const elements = named !== undefined && ts.isNamedExports(named) ? named.elements : [];
      add(
        (node.moduleSpecifier as ts.StringLiteral).text,
        node.isTypeOnly,
        elements.length > 0 ? elements.map((one) => (one.propertyName ?? one.name).text) : ['*'],
      );
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const argument = node.arguments[0];
      if (argument !== undefined && ts.isStringLiteral(argument)) add(argument.text, false, ['*']);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return edges;
}

function exportsOf(
  file: ts.SourceFile,
): Pick<SourceFacts, 'exports' | 'exportedTypes' | 'reExports'> {
  const names: string[] = [];
  const types: string[] = [];
  let reExports = 0;
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) {
      const clause = statement.exportClause;
      reExports += clause !== undefined && ts.isNamedExports(clause) ? clause.elements.length : 1;
      continue;
    }
    if (!ts.canHaveModifiers(statement)) continue;
    const isExported = ts
      .getModifiers(statement)
      ?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword);
    if (isExported !== true) continue;
    if (ts.isVariableStatement(statement)) {
      for (const one of statement.declarationList.declarations) {
        if (ts.isIdentifier(one.name)) names.push(one.name.text);
      }
    } else {
      const name = declaredName(statement);
      if (name === undefined) continue;
      names.push(name);
      if (ts.isTypeAliasDeclaration(statement)) types.push(name);
    }
  }
  return { exports: names, exportedTypes: types, reExports };
}

function declaredName(node: ts.Node): string | undefined {
  if (
    ts.isVariableDeclaration(node) ||
    ts.isFunctionDeclaration(node) ||
    ts.isParameter(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isPropertySignature(node)
  ) {
    const name = node.name;
    if (name !== undefined && (ts.isIdentifier(name) || ts.isPrivateIdentifier(name))) {
      return name.text;
    }
  }
  return undefined;
}

function functionFacts(
  node: ts.Node,
  file: ts.SourceFile,
  lineOf: (node: ts.Node) => number,
): FunctionFacts | undefined {
  if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined;
  const line = lineOf(node);
  const end = file.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
  const named = node.name ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name : undefined);
  return {
    name: named === undefined ? '(anonymous)' : named.getText(file),
    line,
    lines: end - line + 1,
    parameters: node.parameters.length,
    nesting: nestingOf(node.body as ts.Node),
  };
}

/** Deepest nesting of control statements inside a body; nested functions count for themselves. */
function nestingOf(body: ts.Node): number {
  let deepest = 0;
  const visit = (node: ts.Node, depth: number): void => {
    if (node !== body && ts.isFunctionLike(node)) return;
    const isElseIf =
      ts.isIfStatement(node) && ts.isIfStatement(node.parent) && node.parent.elseStatement === node;
    const deeper =
      !isElseIf &&
      (ts.isIfStatement(node) ||
        ts.isIterationStatement(node, false) ||
        ts.isSwitchStatement(node) ||
        ts.isTryStatement(node));
    const next = deeper ? depth + 1 : depth;
    deepest = Math.max(deepest, next);
    ts.forEachChild(node, (child) => visit(child, next));
  };
  visit(body, 0);
  return deepest;
}

const impureNames: ReadonlySet<string> = new Set([
  'Date',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'process',
  'performance',
  'fetch',
  'console',
]);

function markOf(node: ts.Node, file: ts.SourceFile): string | undefined {
  if (node.kind === ts.SyntaxKind.AnyKeyword) return 'any';
  if (ts.isNonNullExpression(node)) return '!';
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'impure async';
  if (ts.isAwaitExpression(node)) return 'impure await';
  if (ts.isPropertyAccessExpression(node) && node.getText(file) === 'Math.random') {
    return 'impure Math.random';
  }
  if (ts.isIdentifier(node) && impureNames.has(node.text) && isGlobalUse(node)) {
    return `impure ${node.text}`;
  }
  return undefined;
}

/** An identifier that stands for a global, not for a property or a declaration of ours. */
function isGlobalUse(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  return ts.isCallExpression(parent) || ts.isNewExpression(parent);
}

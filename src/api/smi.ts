// SMI objects after parsing by shape (reference: SMI spec, all served versions). Version
// differences end here: a v1alpha1 object and a v1alpha4 object that say the same are equal.
import type { ObjectMeta } from './object.ts';

export type Subject = {
  readonly kind: string;
  readonly name: string;
  /** `undefined` when the object names none (R-2 and R-4 say what that means). */
  readonly namespace: string | undefined;
};

export type RuleKind = 'HTTPRouteGroup' | 'TCPRoute' | 'UDPRoute';

export type TargetRule = {
  readonly kind: RuleKind;
  readonly name: string;
  /** Names of matches of the group; `undefined` = all of them. */
  readonly matches: readonly string[] | undefined;
};

export type TrafficTarget = {
  readonly kind: 'TrafficTarget';
  readonly meta: ObjectMeta;
  readonly destination: Subject;
  /** `destination.port` of v1alpha1/2; narrows whenever present. */
  readonly destinationPort: number | undefined;
  readonly sources: readonly Subject[];
  /** `undefined`: the key is absent, allow every route. Never empty here. */
  readonly rules: readonly TargetRule[] | undefined;
};

export type HeaderCondition = { readonly name: string; readonly pattern: string };

export type HttpMatch = {
  readonly name: string;
  /** RE2 source, anchored at its start only; `undefined` = any path. */
  readonly pathRegex: string | undefined;
  /** Upper-case names; `undefined` = any method (absent, empty, or `*` is among them, R-27). */
  readonly methods: readonly string[] | undefined;
  /** Names in lower case; all have to hold. */
  readonly headers: readonly HeaderCondition[];
};

export type HttpRouteGroup = {
  readonly kind: 'HTTPRouteGroup';
  readonly meta: ObjectMeta;
  /** In the order of the object; names are unique; empty matches nothing. */
  readonly matches: readonly HttpMatch[];
};

/** `ports: undefined` = all ports of the destination. */
export type TcpRoute = {
  readonly kind: 'TCPRoute';
  readonly meta: ObjectMeta;
  readonly ports: readonly number[] | undefined;
};

export type UdpRoute = {
  readonly kind: 'UDPRoute';
  readonly meta: ObjectMeta;
  readonly ports: readonly number[] | undefined;
};

/** Whole numbers whose ratio is what the object says. */
export type SplitBackend = { readonly service: string; readonly weight: number };

export type TrafficSplit = {
  readonly kind: 'TrafficSplit';
  readonly meta: ObjectMeta;
  /** `spec.service` as written, lower case, without a trailing dot; topology reads it. */
  readonly service: string;
  readonly backends: readonly SplitBackend[];
  /** Names of HTTPRouteGroups in the split's namespace; `undefined` = no `matches`. */
  readonly matches: readonly string[] | undefined;
};

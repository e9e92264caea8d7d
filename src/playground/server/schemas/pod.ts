// The schema of a pod, as far as manifests for the playground use it; rarely used corners (volumes'
// sources, affinity, security contexts, probes' actions) are taken as they are.
import {
  anything,
  atomic,
  conditions,
  described,
  flag,
  intOrText,
  listByKey,
  listOf,
  listOfText,
  long,
  mapOf,
  mapOfText,
  object,
  text,
  time,
  whole,
  withDefault,
} from './words.ts';
import { objectMeta } from './meta.ts';

const resources = object({
  limits: mapOf(intOrText),
  requests: mapOf(intOrText),
  claims: listOf(anything),
});

const environmentVariable = object({ name: text, value: text, valueFrom: anything }, ['name']);

const containerPort = object(
  {
    name: text,
    containerPort: whole,
    hostPort: whole,
    hostIP: text,
    protocol: withDefault(text, 'TCP'),
  },
  ['containerPort'],
);

const probe = object({
  httpGet: object({
    path: text,
    port: intOrText,
    host: text,
    scheme: text,
    httpHeaders: listOf(object({ name: text, value: text })),
  }),
  tcpSocket: object({ port: intOrText, host: text }),
  exec: object({ command: listOfText }),
  grpc: anything,
  initialDelaySeconds: whole,
  periodSeconds: whole,
  timeoutSeconds: whole,
  successThreshold: whole,
  failureThreshold: whole,
  terminationGracePeriodSeconds: long,
});

const container = object(
  {
    name: text,
    image: text,
    imagePullPolicy: text,
    command: listOfText,
    args: listOfText,
    workingDir: text,
    env: listByKey(['name'], environmentVariable),
    envFrom: listOf(anything),
    ports: listByKey(['containerPort', 'protocol'], containerPort),
    resources,
    resizePolicy: listOf(anything),
    restartPolicy: text,
    livenessProbe: probe,
    readinessProbe: probe,
    startupProbe: probe,
    lifecycle: anything,
    securityContext: anything,
    volumeMounts: listByKey(['mountPath'], anything),
    volumeDevices: listByKey(['devicePath'], anything),
    stdin: flag,
    stdinOnce: flag,
    tty: flag,
    terminationMessagePath: text,
    terminationMessagePolicy: text,
  },
  ['name'],
);

export const podSpec = described(
  'What runs, where, and as whom.',
  object(
    {
      containers: described('Containers of the pod; at least one.', listByKey(['name'], container)),
      initContainers: listByKey(['name'], container),
      ephemeralContainers: listByKey(['name'], anything),
      nodeName: described('The node that it runs on.', text),
      nodeSelector: atomic(mapOfText),
      serviceAccountName: described('The identity that it runs as.', text),
      serviceAccount: text,
      automountServiceAccountToken: flag,
      restartPolicy: text,
      terminationGracePeriodSeconds: long,
      activeDeadlineSeconds: long,
      dnsPolicy: text,
      dnsConfig: anything,
      hostNetwork: flag,
      hostPID: flag,
      hostIPC: flag,
      hostUsers: flag,
      hostname: text,
      subdomain: text,
      hostAliases: listByKey(['ip'], anything),
      volumes: listByKey(['name'], anything),
      imagePullSecrets: listByKey(['name'], object({ name: text })),
      affinity: anything,
      tolerations: listOf(anything),
      topologySpreadConstraints: listOf(anything),
      schedulerName: text,
      priority: whole,
      priorityClassName: text,
      preemptionPolicy: text,
      enableServiceLinks: flag,
      shareProcessNamespace: flag,
      setHostnameAsFQDN: flag,
      securityContext: anything,
      readinessGates: listOf(anything),
      runtimeClassName: text,
      overhead: anything,
      os: anything,
      resourceClaims: listOf(anything),
      schedulingGates: listByKey(['name'], anything),
      resources,
    },
    ['containers'],
  ),
);

const podAddress = object({ ip: text }, ['ip']);

const containerStatus = object({
  name: text,
  ready: flag,
  started: flag,
  restartCount: whole,
  image: text,
  imageID: text,
  containerID: text,
  state: anything,
  lastState: anything,
  resources: anything,
  allocatedResources: anything,
  user: anything,
  volumeMounts: listOf(anything),
});

/** What a kubelet writes through the status subresource. */
export const podStatus = object({
  phase: text,
  conditions,
  message: text,
  reason: text,
  hostIP: text,
  hostIPs: listOf(podAddress),
  podIP: text,
  podIPs: listByKey(['ip'], podAddress),
  startTime: time,
  qosClass: text,
  nominatedNodeName: text,
  observedGeneration: long,
  resize: text,
  containerStatuses: listOf(containerStatus),
  initContainerStatuses: listOf(containerStatus),
  ephemeralContainerStatuses: listOf(containerStatus),
  resourceClaimStatuses: listOf(anything),
});

/** The pod that a Deployment or ReplicaSet makes. */
export const podTemplate = object({ metadata: objectMeta, spec: podSpec });

/** A selector is replaced as a whole: half of one would select something else. */
export const labelSelector = atomic(
  object({
    matchLabels: mapOfText,
    matchExpressions: listOf(
      object({ key: text, operator: text, values: listOfText }, ['key', 'operator']),
    ),
  }),
);

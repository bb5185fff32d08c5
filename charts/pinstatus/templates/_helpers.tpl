{{- define "pinstatus.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* The release's full name, short enough for the suffixes that follow it. */}}
{{- define "pinstatus.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "pinstatus.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "pinstatus.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Labels of all objects; of those of one component, with a list of context and component. */}}
{{- define "pinstatus.labels" -}}
{{- $context := first . -}}
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
app.kubernetes.io/part-of: pinstatus
{{ include "pinstatus.selectorLabels" . }}
{{- end }}

{{- define "pinstatus.selectorLabels" -}}
{{- $context := first . -}}
app.kubernetes.io/name: {{ include "pinstatus.name" $context }}
app.kubernetes.io/instance: {{ $context.Release.Name }}
{{- if gt (len .) 1 }}
app.kubernetes.io/component: {{ last . }}
{{- end }}
{{- end }}

{{- define "pinstatus.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pinstatus.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pinstatus.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "pinstatus.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "pinstatus.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "pinstatus.natsEnv" -}}
- name: PINSTATUS_NATS_URL
  value: {{ .Values.nats.url | quote }}
{{- if .Values.nats.credentialsSecret }}
- name: PINSTATUS_NATS_CREDS
  value: /var/run/secrets/nats/nats.creds
{{- end }}
{{- include "pinstatus.tlsEnv" (list .Values.nats.tls "nats") }}
{{- end }}

{{- /* Where the files of a TLS client are; takes a list of values and server. */}}
{{- define "pinstatus.tlsEnv" -}}
{{- $tls := first . -}}
{{- $server := last . -}}
{{- if $tls.secret }}
{{- range $flag, $key := dict "CA" $tls.ca "CERT" $tls.certificate "KEY" $tls.key }}
{{- if $key }}
- name: PINSTATUS_{{ upper $server }}_TLS_{{ $flag }}
  value: /var/run/secrets/{{ $server }}-tls/{{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Variables of the projector and the query service; takes a list of context and component. */}}
{{- define "pinstatus.serviceEnv" -}}
{{- $context := first . -}}
- name: PINSTATUS_ADMIN_ADDR
  value: 0.0.0.0:9090
- name: PINSTATUS_LOG_LEVEL
  value: {{ $context.Values.log.level | quote }}
- name: PINSTATUS_LOG_FORMAT
  value: {{ $context.Values.log.format | quote }}
{{ include "pinstatus.backendEnv" . }}
{{- end }}

{{- /* Variables of whatever works on events and views; takes a list of context and component. */}}
{{- define "pinstatus.backendEnv" -}}
{{- $context := first . -}}
{{- $component := last . -}}
- name: PINSTATUS_CONFIG
  value: /etc/pinstatus/pinstatus.yaml
{{ include "pinstatus.natsEnv" $context }}
- name: PINSTATUS_REDIS_URL
  {{- if $context.Values.redis.urlSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ $context.Values.redis.urlSecret }}
      key: {{ get $context.Values.redis.urlKeys $component }}
  {{- else }}
  value: {{ $context.Values.redis.url | quote }}
  {{- end }}
{{- with $context.Values.redis.prefix }}
- name: PINSTATUS_REDIS_PREFIX
  value: {{ . | quote }}
{{- end }}
{{- include "pinstatus.tlsEnv" (list $context.Values.redis.tls "redis") }}
{{- end }}

{{- define "pinstatus.volumeMounts" -}}
{{- $context := first . -}}
- name: config
  mountPath: /etc/pinstatus
  readOnly: true
{{- include "pinstatus.natsMounts" $context }}
{{- if $context.Values.redis.tls.secret }}
- name: redis-tls
  mountPath: /var/run/secrets/redis-tls
  readOnly: true
{{- end }}
{{- end }}

{{- define "pinstatus.natsMounts" -}}
{{- if .Values.nats.credentialsSecret }}
- name: nats-credentials
  mountPath: /var/run/secrets/nats
  readOnly: true
{{- end }}
{{- if .Values.nats.tls.secret }}
- name: nats-tls
  mountPath: /var/run/secrets/nats-tls
  readOnly: true
{{- end }}
{{- end }}

{{- define "pinstatus.volumes" -}}
{{- $context := first . -}}
- name: config
  {{- if $context.Values.config.existingSecret }}
  secret:
    secretName: {{ $context.Values.config.existingSecret }}
  {{- else }}
  configMap:
    name: {{ include "pinstatus.fullname" $context }}
  {{- end }}
{{- include "pinstatus.natsVolumes" . }}
{{- include "pinstatus.tlsVolume" (list $context.Values.redis.tls "redis") }}
{{- end }}

{{- /* The credentials file of one component and none of the others'. */}}
{{- define "pinstatus.natsVolumes" -}}
{{- $context := first . -}}
{{- if $context.Values.nats.credentialsSecret }}
- name: nats-credentials
  secret:
    secretName: {{ $context.Values.nats.credentialsSecret }}
    items:
      - key: {{ get $context.Values.nats.credentialsKeys (last .) }}
        path: nats.creds
{{- end }}
{{- include "pinstatus.tlsVolume" (list $context.Values.nats.tls "nats") }}
{{- end }}

{{- /* Of the Secret only what is named; takes a list of values and server. */}}
{{- define "pinstatus.tlsVolume" -}}
{{- $tls := first . -}}
{{- if $tls.secret }}
- name: {{ last . }}-tls
  secret:
    secretName: {{ $tls.secret }}
    items:
      {{- range $key := list (get $tls "ca") $tls.certificate $tls.key }}
      {{- if $key }}
      - key: {{ $key }}
        path: {{ $key }}
      {{- end }}
      {{- end }}
{{- end }}
{{- end }}

{{- define "pinstatus.snapshotsMount" -}}
- name: snapshots
  mountPath: /var/lib/pinstatus/snapshots
{{- end }}

{{- define "pinstatus.snapshotsVolume" -}}
- name: snapshots
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-snapshots" (include "pinstatus.fullname" .)) .Values.snapshots.existingClaim }}
{{- end }}

{{- /* Pods of a component apart from each other, where there is room; takes a list of context and component. */}}
{{- define "pinstatus.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels: {{- include "pinstatus.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- /* /livez says that the process runs, /readyz that it can do its work. */}}
{{- define "pinstatus.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{- /* Members of a pod that its component's values set as they are. */}}
{{- define "pinstatus.scheduling" -}}
{{- range $member := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $ $member }}
{{ toYaml (dict $member .) }}
{{- end }}
{{- end }}
{{- end }}

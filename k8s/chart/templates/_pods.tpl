{{- /* pods OBJECT: what the values say of its pods. */ -}}
{{- define "somabrain.pods" -}}
{{- $values := .root.Values -}}
{{- $template := .object.spec.template -}}
{{- $spec := $template.spec -}}
{{- $wanted := get $values.workloads .object.metadata.name | default dict -}}
{{- $_ := set $template.metadata "labels" (merge (include "somabrain.pod-labels" . | fromYaml) $template.metadata.labels) -}}
{{- with $wanted.podAnnotations | default $values.podAnnotations }}{{ $_ := set $template.metadata "annotations" . }}{{ end -}}
{{- with $wanted.nodeSelector | default $values.nodeSelector }}{{ $_ := set $spec "nodeSelector" . }}{{ end -}}
{{- with $wanted.tolerations | default $values.tolerations }}{{ $_ := set $spec "tolerations" . }}{{ end -}}
{{- with $values.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- range $container := concat ($spec.initContainers | default list) $spec.containers -}}
{{- $image := regexReplaceAll ":.*$" (base $container.image) "" -}}
{{- $_ := set $container "image" (get $values.images $image) -}}
{{- with include "somabrain.env" (dict "container" $container "source" $values.postgres.source) | fromYamlArray }}{{ $_ := set $container "env" . }}{{ end -}}
{{- end -}}
{{- if and $values.availability (has .name (list "Deployment/somabrain" "Deployment/sb-opa")) -}}
{{- $_ := set $spec "topologySpreadConstraints" (include "somabrain.spread" .object.metadata.name | fromYamlArray) -}}
{{- end -}}
{{- with $values.postgres.caConfigMap -}}
{{- range $volume := $spec.volumes }}{{ if eq $volume.name "postgres-ca" }}{{ $_ := set $volume.configMap "name" $values.postgres.caConfigMap }}{{ end }}{{ end -}}
{{- end -}}
{{- $_ := include "somabrain.workload" (dict "object" .object "wanted" $wanted) -}}
{{- if and .root.Release.IsInstall (eq .name "Job/somabrain-migrate") }}{{ $_ := include "somabrain.before-all" $spec }}{{ end -}}
{{- end -}}

{{- /* What `workloads` says of one; its first container is meant. */ -}}
{{- define "somabrain.workload" -}}
{{- $wanted := .wanted -}}
{{- $spec := .object.spec.template.spec -}}
{{- $container := index $spec.containers 0 -}}
{{- with $wanted.replicas }}{{ $_ := set $.object.spec "replicas" . }}{{ end -}}
{{- with $wanted.resources }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- with $wanted.drainSeconds -}}
{{- /* What comes after the drain keeps its time. */ -}}
{{- $sleep := $container.lifecycle.preStop.sleep -}}
{{- $_ := set $spec "terminationGracePeriodSeconds" (sub (add $spec.terminationGracePeriodSeconds .) $sleep.seconds) -}}
{{- $_ := set $sleep "seconds" . -}}
{{- end -}}
{{- if $wanted.env -}}
{{- $env := list -}}
{{- range $variable := $container.env | default list }}{{ if not (hasKey $wanted.env $variable.name) }}{{ $env = append $env $variable }}{{ end }}{{ end -}}
{{- range $name, $value := $wanted.env -}}
{{- $env = append $env (kindIs "string" $value | ternary (dict "name" $name "value" $value) (dict "name" $name "valueFrom" (get (kindIs "map" $value | ternary $value dict) "valueFrom"))) -}}
{{- end -}}
{{- $_ := set $container "env" $env -}}
{{- end -}}
{{- end -}}

{{- /* A first migration may run before the release's other objects are there: without their priority, and without
overrides. */ -}}
{{- define "somabrain.before-all" -}}
{{- $_ := unset . "priorityClassName" -}}
{{- range $volume := .volumes -}}
{{- with $volume.configMap }}{{ $_ := set . "optional" true }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The environment of a container, with the credentials of the Postgres that is meant. */ -}}
{{- define "somabrain.env" -}}
{{- $source := .source -}}
{{- $operator := dict "SOMABRAIN_POSTGRES_DSN" "uri" "POSTGRES_USER" "username" "POSTGRES_DB" "dbname" "POSTGRES_PASSWORD" "password" -}}
{{- $given := .container.env | default list -}}
{{- /* It beats what a whole Secret brings. */ -}}
{{- if and (eq $source "operator") .container.envFrom }}{{ $given = append $given (dict "name" "SOMABRAIN_POSTGRES_DSN") }}{{ end -}}
{{- $env := list -}}
{{- range $variable := $given -}}
{{- if and (eq $source "operator") (hasKey $operator $variable.name) -}}
{{- $key := dict "name" "postgres-app" "key" (get $operator $variable.name) -}}
{{- $env = append $env (dict "name" $variable.name "valueFrom" (dict "secretKeyRef" $key)) -}}
{{- else if not (and (eq $source "managed") (hasPrefix "POSTGRES_" $variable.name)) -}}
{{- $env = append $env $variable -}}
{{- end -}}
{{- end -}}
{{- toYaml $env -}}
{{- end -}}

{{- /* Pods of one revision are held apart: over nodes always, over zones where it can be. */ -}}
{{- define "somabrain.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  nodeTaintsPolicy: Honor
  matchLabelKeys: ["pod-template-hash"]
  labelSelector:
    matchLabels:
      app: {{ . }}
{{- if eq . "somabrain" }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      app: {{ . }}
{{- end }}
{{- end -}}

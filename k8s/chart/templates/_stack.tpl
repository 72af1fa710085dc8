{{- /* The files whose objects belong to these values, as a YAML list. */ -}}
{{- define "somabrain.files" -}}
{{- $files := list "full-stack" "network-policies" "health-check" -}}
{{- if eq .Values.environment "dev" }}{{ $files = append $files "from-host" }}{{ else }}{{ $files = concat $files (list "from-outside" "access") }}{{ end -}}
{{- if .Values.ingress.host }}{{ $files = append $files "ingress" }}{{ end -}}
{{- if .Values.availability }}{{ $files = append $files "availability" }}{{ end -}}
{{- if eq .Values.postgres.source "managed" }}{{ $files = append $files "managed-postgres" }}{{ end -}}
{{- if eq .Values.postgres.source "operator" }}{{ $files = concat $files (list "operator-cluster" "operator-backup" "operator-policies") }}{{ end -}}
{{- toYaml $files -}}
{{- end -}}

{{- /* The objects of those files that are left out, because Postgres is elsewhere. */ -}}
{{- define "somabrain.left-out" -}}
{{- if ne .Values.postgres.source "internal" }}{{ toYaml (list "StatefulSet/postgres" "Service/postgres" "NetworkPolicy/postgres") }}{{ else }}[]{{ end -}}
{{- end -}}

{{- /* adapt OBJECT: changes it in place. */ -}}
{{- define "somabrain.adapt" -}}
{{- $values := .root.Values -}}
{{- $object := .object -}}
{{- if has $object.kind (list "Deployment" "StatefulSet" "Job") -}}
{{- $spec := $object.spec.template.spec -}}
{{- range $container := concat ($spec.initContainers | default list) $spec.containers -}}
{{- $image := regexReplaceAll ":.*$" (base $container.image) "" -}}
{{- $_ := set $container "image" (get $values.images $image) -}}
{{- if $container.env }}{{ $_ := set $container "env" (include "somabrain.env" (dict "env" $container.env "source" $values.postgres.source) | fromYamlArray) }}{{ end -}}
{{- end -}}
{{- if and $values.availability (has .name (list "Deployment/somabrain" "Deployment/sb-opa")) -}}
{{- $_ := set $spec "topologySpreadConstraints" (include "somabrain.spread" $object.metadata.name | fromYamlArray) -}}
{{- end -}}
{{- end -}}
{{- if eq $object.kind "Deployment" }}{{ $_ := include "somabrain.workload" . }}{{ end -}}
{{- if eq .name "Deployment/somabrain" }}{{ if $values.availability }}{{ $_ := unset $object.spec "replicas" }}{{ end }}{{ end -}}
{{- if eq .name "StatefulSet/postgres" }}{{ $_ := set (index $object.spec.volumeClaimTemplates 0).spec.resources.requests "storage" $values.postgres.storage }}{{ end -}}
{{- if eq .name "Cluster/postgres" }}{{ $_ := set $object.spec "imageName" $values.images.postgresql }}{{ end -}}
{{- if eq .name "Service/somabrain-public" }}{{ if ne $values.environment "dev" }}{{ $_ := set $object.spec "externalTrafficPolicy" "Local" }}{{ end }}{{ end -}}
{{- if eq $object.kind "Ingress" -}}
{{- $_ := set $object.metadata.annotations "cert-manager.io/cluster-issuer" $values.ingress.issuer -}}
{{- $_ := set (index $object.spec.tls 0) "hosts" (list $values.ingress.host) -}}
{{- $_ := set (index $object.spec.rules 0) "host" $values.ingress.host -}}
{{- end -}}
{{- $before := "pre-install,pre-upgrade" -}}
{{- /* A Postgres of the chart's own is there only after the first installation; any other before it. */ -}}
{{- $migrate := eq $values.postgres.source "internal" | ternary "post-install,pre-upgrade" $before -}}
{{- $hooks := dict "Job/somabrain-migrate" (list $migrate "0") "Job/somabrain-health-check" (list "test" "0") -}}
{{- /* What the migration needs. (Priority classes are the cluster's: as hooks, several releases may share them.) */ -}}
{{- range list "ConfigMap/somabrain-overrides" "PriorityClass/somabrain" "PriorityClass/somabrain-data" }}{{ $_ := set $hooks . (list $before "-5") }}{{ end -}}
{{- with get $hooks .name -}}
{{- $_ := set $object.metadata "annotations" (dict "helm.sh/hook" (index . 0) "helm.sh/hook-weight" (index . 1) "helm.sh/hook-delete-policy" "before-hook-creation") -}}
{{- end -}}
{{- end -}}

{{- /* What `workloads` says of a Deployment; its first container is meant. */ -}}
{{- define "somabrain.workload" -}}
{{- $wanted := get .root.Values.workloads .object.metadata.name | default dict -}}
{{- $container := index .object.spec.template.spec.containers 0 -}}
{{- with $wanted.replicas }}{{ $_ := set $.object.spec "replicas" . }}{{ end -}}
{{- with $wanted.drainSeconds }}{{ $_ := set $container.lifecycle.preStop.sleep "seconds" . }}{{ end -}}
{{- with $wanted.resources }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- range $variable := $container.env | default list -}}
{{- if hasKey ($wanted.env | default dict) $variable.name }}{{ $_ := set $variable "value" (get $wanted.env $variable.name) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The environment of a container, with the credentials of the Postgres that is meant. */ -}}
{{- define "somabrain.env" -}}
{{- $source := .source -}}
{{- $operator := dict "SOMABRAIN_POSTGRES_DSN" "uri" "POSTGRES_USER" "username" "POSTGRES_DB" "dbname" "POSTGRES_PASSWORD" "password" -}}
{{- $env := list -}}
{{- range $variable := .env -}}
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

{{- /* The files whose objects belong to these values, as a YAML list. */ -}}
{{- define "somabrain.files" -}}
{{- $files := list "full-stack" "network-policies" "health-check" -}}
{{- if eq .Values.environment "dev" }}{{ $files = append $files "from-host" }}{{ else }}{{ $files = append $files "access" }}{{ end -}}
{{- if .Values.ingress.host }}{{ $files = append $files "ingress" }}{{ end -}}
{{- if .Values.availability }}{{ $files = append $files "availability" }}{{ end -}}
{{- if eq .Values.postgres.source "managed" }}{{ $files = append $files "managed-postgres" }}{{ end -}}
{{- if eq .Values.postgres.source "operator" }}{{ $files = concat $files (list "operator-cluster" "operator-backup" "operator-policies") }}{{ end -}}
{{- toYaml $files -}}
{{- end -}}

{{- /* The objects of those files that are left out: Postgres is elsewhere, or another release makes what is the cluster's. */ -}}
{{- define "somabrain.left-out" -}}
{{- $names := list -}}
{{- if ne .Values.postgres.source "internal" }}{{ $names = concat $names (list "StatefulSet/postgres" "Service/postgres" "NetworkPolicy/postgres") }}{{ end -}}
{{- if not .Values.priorityClasses.create }}{{ $names = concat $names (list "PriorityClass/somabrain" "PriorityClass/somabrain-data") }}{{ end -}}
{{- toYaml $names -}}
{{- end -}}

{{- /* Values that would have no effect are refused, which the schema cannot say with its reason. */ -}}
{{- define "somabrain.check" -}}
{{- $values := .Values -}}
{{- $source := $values.postgres.source -}}
{{- if and $values.availability (dig "somabrain" "replicas" 0 $values.workloads) }}{{ fail "workloads.somabrain.replicas: with availability the autoscaler decides; set autoscaling.minReplicas" }}{{ end -}}
{{- if and $values.autoscaling (not $values.availability) }}{{ fail "autoscaling: has no effect without availability: true" }}{{ end -}}
{{- if gt (int ($values.autoscaling.minReplicas | default 3)) (int ($values.autoscaling.maxReplicas | default 9)) }}{{ fail "autoscaling: minReplicas is above maxReplicas" }}{{ end -}}
{{- range $key := list "replicas" "drainSeconds" }}
{{- if dig "postgres" $key 0 $values.workloads }}{{ fail (printf "workloads.postgres.%s: cannot be set" $key) }}{{ end -}}
{{- end -}}
{{- if and (ne $source "internal") (hasKey $values.workloads "postgres") }}{{ fail "workloads.postgres: has no effect with this postgres.source" }}{{ end -}}
{{- if and (eq $source "managed") (or $values.postgres.storage $values.postgres.storageClass) }}{{ fail "postgres.storage, postgres.storageClass: have no effect with postgres.source managed" }}{{ end -}}
{{- range $key := list "cidrs" "ports" -}}
{{- if and (ne $source "managed") (get $values.postgres $key) }}{{ fail (printf "postgres.%s: has no effect without postgres.source managed" $key) }}{{ end -}}
{{- end -}}
{{- if and (ne $source "operator") $values.postgres.backup }}{{ fail "postgres.backup: has no effect without postgres.source operator" }}{{ end -}}
{{- range $key := list "issuer" "className" "tlsSecret" "annotations" -}}
{{- if and (get $values.ingress $key) (not $values.ingress.host) }}{{ fail (printf "ingress.%s: has no effect without ingress.host" $key) }}{{ end -}}
{{- end -}}
{{- if and $values.ingress.host (not $values.ingress.issuer) (not $values.ingress.tlsSecret) }}{{ fail "ingress: give an issuer (a cert-manager ClusterIssuer) or a tlsSecret that is there" }}{{ end -}}
{{- end -}}

{{- /* adapt OBJECT: changes it in place. */ -}}
{{- define "somabrain.adapt" -}}
{{- $values := .root.Values -}}
{{- $object := .object -}}
{{- $_ := set $object.metadata "labels" (merge (include "somabrain.labels" . | fromYaml) ($object.metadata.labels | default dict)) -}}
{{- if has $object.kind (list "Deployment" "StatefulSet" "Job") }}{{ $_ := include "somabrain.pods" . }}{{ end -}}
{{- if eq $object.kind "PriorityClass" }}{{ $_ := set $object.metadata "annotations" (dict "helm.sh/resource-policy" "keep") }}{{ end -}}
{{- if eq .name "Deployment/somabrain" }}{{ if $values.availability }}{{ $_ := unset $object.spec "replicas" }}{{ end }}{{ end -}}
{{- if eq $object.kind "HorizontalPodAutoscaler" -}}
{{- range $key := list "minReplicas" "maxReplicas" }}{{ with get $values.autoscaling $key }}{{ $_ := set $object.spec $key . }}{{ end }}{{ end -}}
{{- with $values.autoscaling.targetCPU }}{{ $_ := set (index $object.spec.metrics 0).resource.target "averageUtilization" . }}{{ end -}}
{{- end -}}
{{- if eq .name "Service/somabrain-public" }}{{ if ne $values.environment "dev" }}{{ $_ := set $object.spec "type" "ClusterIP" }}{{ end }}{{ end -}}
{{- if eq .name "NetworkPolicy/somabrain" }}{{ $_ := include "somabrain.from-controller" . }}{{ end -}}
{{- if eq $object.kind "Ingress" }}{{ $_ := include "somabrain.ingress" . }}{{ end -}}
{{- $_ := include "somabrain.database" . -}}
{{- /* Postgres that the release makes is there only after the first installation; any other before it. */ -}}
{{- $migrate := eq $values.postgres.source "managed" | ternary "pre-install,pre-upgrade" "post-install,pre-upgrade" -}}
{{- with get (dict "Job/somabrain-migrate" $migrate "Job/somabrain-health-check" "test") .name -}}
{{- $_ := set $object.metadata "annotations" (dict "helm.sh/hook" . "helm.sh/hook-delete-policy" "before-hook-creation") -}}
{{- end -}}
{{- end -}}

{{- /* The labels of Helm's convention; the objects' own label `app` is what selectors and policies go by. */ -}}
{{- define "somabrain.labels" -}}
{{ include "somabrain.pod-labels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Those that stay the same from one version to the next: a pod need not be replaced for a label. */ -}}
{{- define "somabrain.pod-labels" -}}
app.kubernetes.io/name: {{ dig "labels" "app" .root.Chart.Name .object.metadata }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
{{- end -}}

{{- define "somabrain.from-controller" -}}
{{- $namespace := .root.Values.ingress.controllerNamespace -}}
{{- range $rule := .object.spec.ingress }}{{ range $from := $rule.from -}}
{{- $labels := dig "namespaceSelector" "matchLabels" dict $from -}}
{{- if eq (get $labels "kubernetes.io/metadata.name") "ingress-nginx" }}{{ $_ := set $labels "kubernetes.io/metadata.name" $namespace }}{{ end -}}
{{- end }}{{ end -}}
{{- end -}}

{{- define "somabrain.ingress" -}}
{{- $wanted := .root.Values.ingress -}}
{{- $spec := .object.spec -}}
{{- $annotations := merge (deepCopy ($wanted.annotations | default dict)) .object.metadata.annotations -}}
{{- with $wanted.issuer }}{{ $_ := set $annotations "cert-manager.io/cluster-issuer" . }}{{ end -}}
{{- $_ := set .object.metadata "annotations" $annotations -}}
{{- with $wanted.className }}{{ $_ := set $spec "ingressClassName" . }}{{ end -}}
{{- with $wanted.tlsSecret }}{{ $_ := set (index $spec.tls 0) "secretName" . }}{{ end -}}
{{- $_ := set (index $spec.tls 0) "hosts" (list $wanted.host) -}}
{{- $_ := set (index $spec.rules 0) "host" $wanted.host -}}
{{- end -}}

{{- /* The volume, the image and the place of Postgres, wherever it is. */ -}}
{{- define "somabrain.database" -}}
{{- $wanted := .root.Values.postgres -}}
{{- $object := .object -}}
{{- if eq .name "StatefulSet/postgres" -}}
{{- $claim := (index $object.spec.volumeClaimTemplates 0).spec -}}
{{- with $wanted.storage }}{{ $_ := set $claim.resources.requests "storage" . }}{{ end -}}
{{- with $wanted.storageClass }}{{ $_ := set $claim "storageClassName" . }}{{ end -}}
{{- else if eq .name "Cluster/postgres" -}}
{{- $_ := set $object.spec "imageName" .root.Values.images.postgresql -}}
{{- with .root.Values.imagePullSecrets }}{{ $_ := set $object.spec "imagePullSecrets" . }}{{ end -}}
{{- with $wanted.storage }}{{ $_ := set $object.spec.storage "size" . }}{{ end -}}
{{- range $volume := list $object.spec.storage $object.spec.walStorage -}}
{{- with $wanted.storageClass }}{{ $_ := set $volume "storageClass" . }}{{ end -}}
{{- end -}}
{{- else if eq .name "ObjectStore/postgres" -}}
{{- $_ := set $object.spec.configuration "destinationPath" $wanted.backup -}}
{{- else if and (eq $wanted.source "managed") (eq .name "NetworkPolicy/to-postgres") -}}
{{- $rule := index $object.spec.egress 0 -}}
{{- if $wanted.cidrs }}{{ $to := list }}{{ range $wanted.cidrs }}{{ $to = append $to (dict "ipBlock" (dict "cidr" .)) }}{{ end }}{{ $_ := set $rule "to" $to }}{{ end -}}
{{- if $wanted.ports }}{{ $ports := list }}{{ range $wanted.ports }}{{ $ports = append $ports (dict "port" (int .)) }}{{ end }}{{ $_ := set $rule "ports" $ports }}{{ end -}}
{{- end -}}
{{- end -}}

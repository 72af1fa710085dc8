#!/bin/sh
# Prints a Service and a Deployment for each role of the app.
for role; do
	cat <<-YAML
		---
		apiVersion: v1
		kind: Service
		metadata: {name: $role}
		spec: {selector: {app: $role}, ports: [{port: 80, targetPort: 8080}]}
		---
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $role}
		spec:
		  selector: {matchLabels: {app: $role}}
		  template:
		    metadata: {labels: {app: $role}}
		    spec:
		      terminationGracePeriodSeconds: 2
		      containers:
		        - name: app
		          image: app
		          args: [$role]
		          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
	YAML
done

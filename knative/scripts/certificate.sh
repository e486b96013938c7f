#!/bin/bash
# The certificate of the pipeline's Broker, where cert-manager does not make it:
#   certificate.sh          Secret broker-tls and ConfigMap broker-ca
#   certificate.sh --days   how many days what is in broker-tls is still good
# Who vouches for it is made once and kept in the Secret broker-ca-key, which nothing
# mounts. Run it again before the certificate ends: nothing else changes by that.
# Variables: NAMESPACE (sweepline), BROKER (default), DAYS (365), DOMAIN (cluster.local)
set -euo pipefail
NAMESPACE=${NAMESPACE:-sweepline} BROKER=${BROKER:-default} DAYS=${DAYS:-365} DOMAIN=${DOMAIN:-cluster.local}
die() { echo "certificate.sh: $*" >&2; exit 1; }
for tool in kubectl openssl base64; do command -v $tool > /dev/null || die "needs $tool"; done
k() { kubectl -n "$NAMESPACE" "$@"; }
# take SECRET KEY FILE copies a key of a Secret; it fails where there is none.
take() { k get secret "$1" -o "jsonpath={.data.${2/./\\.}}" 2> /dev/null | base64 -d > "$3" && [ -s "$3" ]; }

umask 077
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
case ${1:-} in
  '') ;;
  --days)
    take broker-tls tls.crt "$dir/tls.crt" || die "no Secret broker-tls in $NAMESPACE"
    end=$(openssl x509 -in "$dir/tls.crt" -noout -enddate)
    echo $((($(date -d "${end#*=}" +%s) - $(date +%s)) / 86400))
    exit
    ;;
  *) sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" >&2; exit 2 ;;
esac

k get namespace "$NAMESPACE" > /dev/null || die "no namespace $NAMESPACE"
new=(req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
if ! { take broker-ca-key tls.crt "$dir/ca.crt" && take broker-ca-key tls.key "$dir/ca.key"; }; then
  openssl "${new[@]}" -x509 -days 3650 -subj "/CN=$NAMESPACE-$BROKER-broker" -keyout "$dir/ca.key" -out "$dir/ca.crt" \
    -addext basicConstraints=critical,CA:true,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign 2> "$dir/log" || die "$(cat "$dir/log")"
  k create secret tls broker-ca-key --cert="$dir/ca.crt" --key="$dir/ca.key"
fi
name=$BROKER-broker-ingress
printf '%s\n' basicConstraints=critical,CA:false keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
  "subjectAltName=DNS:$name.$NAMESPACE.svc.$DOMAIN,DNS:$name.$NAMESPACE.svc,DNS:$name.$NAMESPACE" > "$dir/extensions"
{
  openssl "${new[@]}" -subj "/CN=$name" -keyout "$dir/tls.key" -out "$dir/tls.csr" &&
    openssl x509 -req -in "$dir/tls.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
      -days "$DAYS" -extfile "$dir/extensions" -out "$dir/tls.crt" &&
    openssl verify -CAfile "$dir/ca.crt" "$dir/tls.crt"
} > "$dir/log" 2>&1 || die "$(cat "$dir/log")"
k create configmap broker-ca --from-file=ca.crt="$dir/ca.crt" --dry-run=client -o yaml | k apply -f -
k create secret tls broker-tls --cert="$dir/tls.crt" --key="$dir/tls.key" --dry-run=client -o yaml | k apply -f -

package demo

import (
	"io"
	"strings"
)

// Addresses are where the process listens, each host and port.
type Addresses struct {
	HTTP  string
	TLS   bool // HTTP is over TLS
	Admin string
	NATS  string
}

// Write writes what a newcomer may try, ready to paste into a shell.
func (d *Demo) Write(w io.Writer, a Addresses) error {
	nats := a.NATS
	if !strings.Contains(nats, "://") {
		nats = "nats://" + nats
	}
	scheme := "http://"
	if a.TLS {
		scheme = "https://"
	}
	_, err := strings.NewReplacer(
		"{{key}}", d.APIKey,
		"{{operator}}", d.OperatorToken,
		"{{client}}", d.ClientToken,
		"{{http}}", scheme+a.HTTP,
		"{{admin}}", "http://"+a.Admin,
		"{{nats}}", nats,
	).WriteString(w, guide)
	return err
}

const guide = `
There is no configuration (--config), so there is one tenant to try things with: demo, with
the PIN types Parental (3 attempts, locks of 20s) and Purchase (5 attempts, locks of 1m, 5m
and 1h). Its keys are those of this process alone; the tokens are good for 24 hours.

Paste this into another shell:

export PINSTATUS_NATS_URL={{nats}}
export PINSTATUS_URL={{http}}
API={{http}}
KEY={{key}}
OPERATOR={{operator}}
ALICE={{client}}
export PINSTATUS_TOKEN=$OPERATOR

Was the PIN code 2B67 delivered?

pinstatus publish --type sms.status --pin 2B67 --status MESSAGE_DELIVERED --to 41793026727
pinstatus get pin 2B67
curl -sS -H "Authorization: App $KEY" $API/2fa/1/pin/2B67/status

Which PINs has the account alice? Three failed attempts lock one.

pinstatus publish --type account.provisioned --account alice --set-pins Purchase
for i in 1 2 3; do pinstatus publish --type attempt --account alice --pin-type Parental --outcome FAILED; done
pinstatus get account alice
curl -sS -H "Authorization: Bearer $OPERATOR" -H "nv-tenant-id: demo" $API/adm/v1/accounts/alice/pins/status

Has alice a Parental PIN? Ask, and wait for it; it is set after two seconds.

(sleep 2; pinstatus publish --type pin.set --account alice --pin-type Parental) &
curl -sS -i -H "Authorization: Bearer $ALICE" "$API/user/pin?timeout=60"

Traffic, and what it does to the process:

pinstatus simulate --rate 500 --duration 30s
curl -sS {{admin}}/metrics

Follow what happens to alice, the end of a lock included, until Ctrl-C:

pinstatus watch account alice

`

# The policy ShieldX decides with when no other is given (`--policy DIR` gives another).
#
# `input` is what the gateway found out before it asks: `request`, `caller`, `session`, `route`.
# The answer is `data.shieldx.decision`: `action` is one of allow, step-up, divert, tarpit, block;
# `reason` is a sentence, which a refused caller reads where the action is step-up or block.
#
# The first rule that fits decides. Nothing here looks at bodies, and nothing here is a substitute
# for what an application has to check itself.
package shieldx

# What no rule allows is refused, and so is an input this file does not understand.
default decision := {"action": "block", "reason": "no rule of the policy allows this"}

decision := {"action": "block", "reason": "the path leads out of its folder"} if {
	traversal
} else := {"action": "block", "reason": "the path hides letters behind percent-encoding"} if {
	hidden_letters
} else := {"action": "tarpit", "reason": "the user agent is that of an attack tool"} if {
	attack_tool
} else := {"action": "divert", "reason": "the path is one that only scanners ask for"} if {
	probe
	input.route.decoy
} else := {"action": "block", "reason": "the path is one that only scanners ask for"} if {
	probe
} else := {"action": "step-up", "reason": "the session may be in other hands: sign in again"} if {
	doubtful
} else := {"action": "allow", "reason": "the API checks what its caller may do"} if {
	input.route.kind == "api"
} else := {"action": "allow", "reason": "the caller has a key"} if {
	input.route.kind == "upstream"
	input.caller.tenant
} else := {"action": "allow", "reason": "the route is open to everybody"} if {
	# The gateway turns callers without a key away, except on routes the operator opened.
	input.route.kind == "upstream"
	input.caller == null
}

# The gateway refuses such paths itself, except on routes with `raw_paths`. Encoded dots are refused
# by the rule below. A regular expression costs as much as several rules, so the plain text is looked
# for first.
traversal if {
	contains(path, "..")
	regex.match(`(^|[/\\]|%2f|%5c)\.\.($|[/\\]|%2f|%5c)`, path)
}

# No client needs to encode letters, digits or the dot (RFC 3986, 2.3). Who does wants a rule like
# `probe` to read another path than the application.
hidden_letters if {
	contains(path, "%")
	regex.match(`%(2e|3[0-9]|[46][1-9a-f]|[57][0-9a])`, path)
}

attack_tool if {
	# Every browser says this; tool by tool costs as much as all other rules together.
	not contains(user_agent, "gecko")
	some tool in attack_tools
	contains(user_agent, tool)
}

probe if {
	input.route.kind == "upstream"
	some segment in split(path, "/")
	probed[segment]
}

probe if {
	input.route.kind == "upstream"
	contains(path, "/.env")
}

# Behaviour is evidence, not proof: even the best keystroke models err in more than 3 of 100 cases,
# so at one attack in ten thousand nearly every alarm is false. It may ask the caller to prove
# themselves again; it may not lock them out. So *high* steps up, as *elevated* does.
#
# *Unknown* passes. It means that contauth has learned too little, and it learns only from sessions
# that are let in; asking every newcomer to sign in twice would say nothing about any of them.
#
# ShieldX's own API is exempt: a doubted session has to be able to report the telemetry that clears
# it.
doubtful if {
	input.route.kind == "upstream"
	input.session.level in {"elevated", "high"}
}

path := lower(input.request.path)

user_agent := lower(input.request.headers["user-agent"])

# Names that tools give themselves. Whoever attacks with care says something else: this slows down
# the careless, whose requests are most of them.
attack_tools := {
	"acunetix",
	"dirbuster",
	"feroxbuster",
	"fuzz faster u fool",
	"gobuster",
	"masscan",
	"nessus",
	"nikto",
	"nmap scripting engine",
	"nuclei",
	"openvas",
	"sqlmap",
	"wfuzz",
	"wpscan",
	"zgrab",
}

# Path segments that lead to secrets or to well-known holes. An application that really is one of
# these needs a policy of its own.
probed := {
	".aws",
	".ds_store",
	".git",
	".hg",
	".htpasswd",
	".ssh",
	".svn",
	"cgi-bin",
	"phpmyadmin",
	"server-status",
	"wp-admin",
	"wp-config.php",
	"wp-login.php",
	"xmlrpc.php",
}

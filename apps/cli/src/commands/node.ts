import type { Settings, SettingsSpec } from '@cumulus/service'
import { command } from '../command.ts'
import { validatorSettings } from '../role-settings.ts'
import { type RoleStarter, runRole } from '../run-role.ts'

const { dir, genesis, rpcHost, rpcPort, historyBlocks, historyBytes, adminHost, adminPort, logLevel } =
  validatorSettings

export const nodeSettings = {
  dir,
  genesis,
  rpcHost,
  rpcPort,
  peers: { kind: 'list', help: 'nodes to follow, each /ip4/…/tcp/…/p2p/…; the committee is known from the genesis' },
  trustedPeers: {
    kind: 'list',
    help: 'nodes whose word is taken without a certificate; only for networks without a committee',
  },
  listenHost: { kind: 'text', help: 'address at which other nodes may follow this one', default: '0.0.0.0' },
  listenPort: { kind: 'number', help: 'its port; 0 = any', default: 4010, min: 0, max: 65_535 },
  listen: { kind: 'flag', help: 'serve the chain to other nodes; --no-listen turns it off', default: true },
  announce: {
    kind: 'text',
    help: 'multiaddresses under which others reach it, separated by commas; default: as it listens',
  },
  bootstrap: { kind: 'list', help: 'nodes of the control network to begin with, each /ip4/…/tcp/…/p2p/…' },
  libp2pHost: { kind: 'text', help: 'address for the control network', default: '0.0.0.0' },
  libp2pPort: { kind: 'number', help: 'its port; 0 = any', default: 4011, min: 0, max: 65_535 },
  libp2p: { kind: 'flag', help: 'take part in the control network; --no-libp2p turns it off', default: true },
  snapshot: {
    kind: 'flag',
    help: 'begin an empty folder with the state of a recent block instead of executing all blocks; older ones are then missing here',
    default: false,
  },
  keepSnapshots: {
    kind: 'flag',
    help: 'write down the state now and then for nodes that begin, and serve it; --no-keep-snapshots turns it off',
    default: true,
  },
  historyBlocks,
  historyBytes,
  adminHost,
  adminPort,
  logLevel,
} as const satisfies SettingsSpec

export const node = command({
  name: 'node',
  summary: 'Runs a full node: follows the chain, checks every block, serves RPC.',
  about: [
    'A full node orders nothing and needs no key and no stake. It fetches blocks from several peers at once, checks the',
    "committee's certificates, executes every transaction again and compares the result: what its RPC answers, it has",
    'checked itself. Transactions sent to it are passed on to the validators.',
    '',
    'In a network with a committee no peer need be trusted or even named: the genesis file says who the members are and',
    'where. A network of one validator has no certificates; name that validator with --trusted-peers.',
    '',
    'With --bootstrap it joins the control network (libp2p): it finds more nodes to fetch blocks from, and transactions',
    'spread by gossip. Without, it knows the committee and the peers that were named.',
    '',
    'With --snapshot it is at the tip in minutes: the state of a recent block, proven piece by piece against the certified',
    'header. Such a node has neither blocks nor receipts from before it; RPC says so when asked.',
    '',
    'It may be stopped or killed at any time and goes on from its last block. Progress: /status on the admin port,',
    'eth_syncing, and metrics cumulus_node_*.',
  ].join('\n'),
  settings: nodeSettings,
  examples: [
    'cumulus node --dir /var/lib/cumulus-node --genesis genesis.json',
    'cumulus node --genesis genesis.json --bootstrap /dns4/node.example/tcp/4011/p2p/12D3KooW…',
    'cumulus node --genesis genesis.json --peers /dns4/node.example/tcp/4010/p2p/12D3KooW…',
    'cumulus node --genesis genesis.json --trusted-peers /ip4/127.0.0.1/tcp/9100/p2p/12D3KooW…   (one validator)',
  ],
  run: ({ settings, signal }) => runRole({ name: 'node', role: 'node', ...settings, signal }, nodeStarter(settings)),
})

function nodeStarter(settings: Settings<typeof nodeSettings>): RoleStarter {
  return async (context) => {
    const { startFullNode } = await import('@cumulus/full-node')
    return startFullNode(
      {
        dir: settings.dir,
        genesis: settings.genesis,
        rpc: { host: settings.rpcHost, port: settings.rpcPort },
        listen: settings.listen
          ? { host: settings.listenHost, port: settings.listenPort, announce: settings.announce }
          : undefined,
        gossip: settings.libp2p
          ? { host: settings.libp2pHost, port: settings.libp2pPort, bootstrap: settings.bootstrap }
          : undefined,
        snapshots: { sync: settings.snapshot, make: settings.listen && settings.keepSnapshots },
        history: { blocks: settings.historyBlocks, bytes: settings.historyBytes },
        peers: settings.peers,
        trustedPeers: settings.trustedPeers,
      },
      context,
    )
  }
}

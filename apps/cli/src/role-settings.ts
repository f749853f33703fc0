import type { SettingsSpec } from '@cumulus/service'

/** Settings that every role has. */
const common = {
  dir: { kind: 'text', help: 'folder for the state of this process', default: '.' },
  preset: { kind: 'text', help: 'rules of the network', default: 'mainnet', choices: ['mainnet', 'dev', 'minimal'] },
  adminHost: { kind: 'text', help: 'address for health, status and metrics', default: '127.0.0.1' },
  adminPort: { kind: 'number', help: 'port for health, status and metrics; 0 = any', default: 0, min: 0, max: 65_535 },
  logLevel: { kind: 'text', help: 'least level to log', default: 'info', choices: ['debug', 'info', 'warn', 'error'] },
} as const satisfies SettingsSpec

const chainUser = {
  rpc: {
    kind: 'list',
    help: 'RPC URLs of the chain; the next is tried when one fails',
    default: ['http://127.0.0.1:8545'],
  },
  keyFile: { kind: 'text', help: 'file with the private key of the chain account, in hex' },
} as const satisfies SettingsSpec

export const validatorSettings = {
  ...common,
  genesis: { kind: 'text', help: 'file of the first state of the chain', default: 'genesis.json' },
  keyFile: { kind: 'text', help: 'file with the private key of the account that earns the fees, in hex' },
  rpcHost: { kind: 'text', help: 'address for JSON-RPC', default: '127.0.0.1' },
  rpcPort: { kind: 'number', help: 'port for JSON-RPC, HTTP and WebSocket', default: 8545, min: 0, max: 65_535 },
  verifySources: {
    kind: 'flag',
    help: 'compile sources of contracts for whoever asks over RPC: takes seconds of a core and up to 1 GiB each time',
    default: false,
  },
  peerHost: {
    kind: 'text',
    help: 'address at which the committee and full nodes reach it; default: as the genesis names it',
  },
  peerPort: { kind: 'number', help: 'its port; default: as the genesis names it', min: 1, max: 65_535 },
  libp2pHost: { kind: 'text', help: 'address for the control network', default: '0.0.0.0' },
  libp2pPort: {
    kind: 'number',
    help: 'port for the control network (libp2p), 0 = any; without it this validator takes no part',
    min: 0,
    max: 65_535,
  },
  bootstrap: { kind: 'list', help: 'nodes of the control network to begin with, each /ip4/…/tcp/…/p2p/…' },
  keepSnapshots: {
    kind: 'flag',
    help: 'write down the state now and then for nodes that begin, and serve it where full nodes come; --no-keep-snapshots turns it off',
    default: true,
  },
  historyBlocks: {
    kind: 'number',
    help: 'chain blocks back from the newest whose state RPC can still read, if they fit --history-bytes; more are there as blocks are made',
    default: 1_024,
    min: 1,
    max: 2 ** 32,
  },
  historyBytes: { kind: 'bytes', help: 'disk space for the state of older blocks', default: 2 ** 30, min: 1 },
  roundMsMin: {
    kind: 'number',
    help: 'least milliseconds between own blocks of the order; default: 25 with up to four members, else 100',
    min: 1,
    max: 60_000,
  },
} as const satisfies SettingsSpec

export const minerSettings = {
  ...common,
  ...chainUser,
  space: { kind: 'bytes', help: 'disk space to offer: nothing beyond it is ever used', default: 2 ** 30 },
  beneficiary: { kind: 'text', help: 'address that is paid; default: the own account' },
  region: { kind: 'text', help: 'where this miner is, such as eu-de', default: '' },
  topUpMax: {
    kind: 'text',
    help: 'tokens that it adds to its stake by itself, in all, when penalties have frozen it; 0 = its owner decides',
    default: '0',
  },
} as const satisfies SettingsSpec

export const teeWorkerSettings = {
  ...common,
  ...chainUser,
  genesis: {
    kind: 'text',
    help: 'file of the first state of the chain: whose certificates it believes; without it, it believes the RPC node',
  },
  dataHost: { kind: 'text', help: 'address that miners dial', default: '127.0.0.1' },
  dataPort: { kind: 'number', help: 'port that miners dial; 0 = any', default: 0, min: 0, max: 65_535 },
  mode: { kind: 'text', help: 'what it does', default: 'full', choices: ['full', 'marker', 'verifier'] },
  attestation: {
    kind: 'text',
    help: 'what vouches for its key; simulated = nothing, for development networks only',
    default: 'sgx',
    choices: ['sgx', 'tdx', 'simulated'],
  },
  collateralFile: { kind: 'text', help: "JSON file with Intel's statements about this platform" },
  sealKeyFile: { kind: 'text', help: 'file of the key that seals the tagger key; default: seal.key in the folder' },
  candidate: { kind: 'text', help: 'address of the validator candidate that gets the credit for the work' },
  threads: {
    kind: 'number',
    help: 'segments tagged at once, 96 MiB each; 0 = half the cores',
    default: 0,
    min: 0,
    max: 64,
  },
} as const satisfies SettingsSpec

export const gatewaySettings = {
  ...common,
  ...chainUser,
  s3Host: { kind: 'text', help: 'address for S3', default: '127.0.0.1' },
  s3Port: { kind: 'number', help: 'port for S3', default: 9000, min: 0, max: 65_535 },
  dataHost: { kind: 'text', help: 'address that miners dial', default: '127.0.0.1' },
  dataPort: { kind: 'number', help: 'first port that miners dial; 0 = any', default: 0, min: 0, max: 65_535 },
  usersFile: { kind: 'text', help: 'file of S3 users; read again when it changes', default: 'users.json' },
  region: { kind: 'text', help: 'region that S3 clients sign for', default: 'us-east-1' },
  storageClass: { kind: 'text', help: 'how segments are cut', default: 'standard', choices: ['standard', 'light'] },
} as const satisfies SettingsSpec

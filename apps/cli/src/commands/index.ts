import type { Command } from '../command.ts'

/** What `cumulus help` knows of a command before its code is loaded: a miner need not load the S3 client. */
export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly hidden?: boolean
  load(): Promise<Command>
}

/** In the order of `cumulus help`. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'up',
    summary: 'Starts a local network, ready for any S3 client; goes on with one that was stopped.',
    load: async () => (await import('./up.ts')).up,
  },
  {
    name: 'down',
    summary: 'Stops the local network; its data stays.',
    load: async () => (await import('./down.ts')).down,
  },
  {
    name: 'status',
    summary: 'Shows processes, health, space and chain of the local network.',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'logs',
    summary: 'Shows log lines, merged by time.',
    load: async () => (await import('./logs.ts')).logs,
  },
  {
    name: 'put',
    summary: 'Stores files in a bucket.',
    load: async () => (await import('./objects.ts')).put,
  },
  {
    name: 'get',
    summary: 'Fetches an object into a file.',
    load: async () => (await import('./objects.ts')).get,
  },
  {
    name: 'ls',
    summary: 'Lists buckets, or the objects of a bucket.',
    load: async () => (await import('./objects.ts')).ls,
  },
  {
    name: 'rm',
    summary: 'Deletes objects.',
    load: async () => (await import('./objects.ts')).remove,
  },
  {
    name: 'stat',
    summary: 'Shows what is known of an object or a bucket.',
    load: async () => (await import('./objects.ts')).stat,
  },
  {
    name: 'faucet',
    summary: 'Gives an account tokens of a development network, once an epoch.',
    load: async () => (await import('./faucet.ts')).faucet,
  },
  {
    name: 'genesis',
    summary: 'Writes the first state of a new network: rules, time, allocations, committee.',
    load: async () => (await import('./genesis.ts')).genesis,
  },
  {
    name: 'genesis check',
    summary: 'Checks a genesis file, and shows what network it begins.',
    load: async () => (await import('./genesis.ts')).genesisCheck,
  },
  {
    name: 'doctor',
    summary: 'Checks this machine and the local network, and says what to do.',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'validator',
    summary: 'Runs a validator: orders transactions, executes chain blocks, serves RPC.',
    load: async () => (await import('./roles.ts')).validator,
  },
  {
    name: 'node',
    summary: 'Runs a full node: follows the chain, checks every block, serves RPC.',
    load: async () => (await import('./node.ts')).node,
  },
  {
    name: 'miner',
    summary: 'Runs a miner: keeps fragments for pay.',
    load: async () => (await import('./roles.ts')).miner,
  },
  {
    name: 'miner status',
    summary: 'Shows what a miner earns for, how its audits went, and what to do if something is wrong.',
    load: async () => (await import('./miner.ts')).minerStatus,
  },
  {
    name: 'miner reward',
    summary: "Shows a miner's rewards: free, coming free, paid.",
    load: async () => (await import('./miner.ts')).minerReward,
  },
  {
    name: 'miner claim',
    summary: 'Pays what is free of a miner to its beneficiary.',
    load: async () => (await import('./miner.ts')).minerClaim,
  },
  {
    name: 'miner beneficiary',
    summary: 'Shows or changes who is paid what a miner claims.',
    load: async () => (await import('./miner.ts')).minerBeneficiary,
  },
  {
    name: 'miner stake',
    summary: "Adds to a miner's stake, or pays its debts.",
    load: async () => (await import('./miner.ts')).minerStake,
  },
  {
    name: 'miner space',
    summary: 'Shows or changes the space that a miner declares.',
    load: async () => (await import('./miner.ts')).minerSpace,
  },
  {
    name: 'tee-worker',
    summary: 'Runs a TEE worker: tags what is stored, so that miners can prove it.',
    load: async () => (await import('./roles.ts')).teeWorker,
  },
  {
    name: 'tee-worker rotate',
    summary: 'Gives a TEE worker another key: step by step, as the chain allows.',
    load: async () => (await import('./tee-worker.ts')).rotate,
  },
  {
    name: 'gateway',
    summary: 'Runs a gateway: S3 in front, the network behind.',
    load: async () => (await import('./roles.ts')).gateway,
  },
  {
    name: 'gateway recover',
    summary: "Rebuilds all buckets of an owner from chain and network alone, by the owner's key.",
    load: async () => (await import('./recover.ts')).recover,
  },
  {
    name: 'lite',
    summary: 'Runs all roles of a local network in one process.',
    hidden: true,
    load: async () => (await import('./roles.ts')).lite,
  },
  {
    name: 'version',
    summary: 'Shows the versions of cumulus and of the Node.js it runs on.',
    load: async () => (await import('./version.ts')).version,
  },
]

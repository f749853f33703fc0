import { ChainClient } from '@cumulus/chain'
import { type Params, preset } from '@cumulus/params'
import { createLogger } from '@cumulus/service'
import { CliError } from './command.ts'
import { NetworkFolder, type RoleName } from './network-folder.ts'
import { readKeyFile } from './plan.ts'

/** Settings of commands that speak with the chain in the name of one process, of a local network or any other. */
export const accountSettings = {
  dir: { kind: 'text', help: 'folder of the local network', default: '.cumulus' },
  name: { kind: 'text', help: 'which process of the local network, such as miner-01' },
  keyFile: { kind: 'text', help: 'file with the private key of the account: for a network that is not local' },
  rpc: { kind: 'list', help: 'RPC URLs of the chain, with --key-file' },
  preset: {
    kind: 'text',
    help: 'rules of the network, with --key-file',
    default: 'mainnet',
    choices: ['mainnet', 'dev', 'minimal'],
  },
  json: { kind: 'flag', help: 'print JSON', default: false },
} as const

export interface AccountCall {
  readonly dir: string
  readonly name: string | undefined
  readonly keyFile: string | undefined
  readonly rpc: readonly string[] | undefined
  readonly preset: string
}

/** The chain as one account sees it. */
export interface Access {
  /** Of the process in its local network, or the address of the account. */
  readonly name: string
  readonly params: Params
  readonly chain: ChainClient
}

/** Long enough for a node that restarts, short enough for somebody who waits. */
const CONNECT_MS = 10_000

/**
 * Opens the account that a call names: a key file, or a process of the local network.
 *
 * @throws CliError NO_NETWORK, UNKNOWN_PROCESS, NAME_NEEDED, NO_KEY_FILE, BAD_KEY; ChainError UNREACHABLE, WRONG_CHAIN
 */
export async function openAccount(call: AccountCall, role: RoleName, signal: AbortSignal): Promise<Access> {
  const [access] = await openAccounts(call, role, signal, { one: true })
  return access!
}

/** All accounts of a role that a call means: one if it names one, else those of the local network. */
export async function openAccounts(
  call: AccountCall,
  role: RoleName,
  signal: AbortSignal,
  init: { readonly one?: boolean } = {},
): Promise<Access[]> {
  if (call.keyFile !== undefined) {
    const urls = call.rpc ?? ['http://127.0.0.1:8545']
    const chain = await connect(urls, preset(call.preset), await readKeyFile(call.keyFile), signal)
    return [{ name: chain.account, params: chain.params, chain }]
  }
  const folder = new NetworkFolder(call.dir)
  const network = await folder.read()
  const all = network.processes.filter((entry) => entry.role === role).map(({ name }) => name)
  const names = call.name === undefined ? all : all.filter((name) => name === call.name)
  if (names.length === 0) {
    throw new CliError(
      'UNKNOWN_PROCESS',
      `there is no ${role} ${call.name ?? ''} in ${folder.path}`,
      `There is: ${all.join(', ') || 'none'}.`,
    )
  }
  if (init.one && names.length > 1) {
    throw new CliError('NAME_NEEDED', `there are ${names.length} of them`, `Name one: --name ${names[0]}.`)
  }
  const urls = call.rpc ?? network.validators.map(({ http }) => http)
  const params = preset(network.preset)
  return await Promise.all(
    names.map(async (name) => {
      const chain = await connect(urls, params, await readKeyFile(folder.keyFile(name)), signal)
      return { name, params, chain }
    }),
  )
}

function connect(
  urls: readonly string[],
  params: Params,
  privateKey: Uint8Array,
  signal: AbortSignal,
): Promise<ChainClient> {
  const log = createLogger({ name: 'cumulus', level: 'error' })
  return ChainClient.connect({ urls: [...urls], privateKey, params, log, signal, connectTimeoutMs: CONNECT_MS })
}

const TOKEN = 10n ** 18n

/** `12.5`: whole tokens with up to six decimals. */
export function formatTokens(wei: bigint): string {
  const micro = wei / (TOKEN / 1_000_000n)
  const decimals = String(micro % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '')
  return `${micro / 1_000_000n}${decimals && `.${decimals}`}`
}

/** @throws CliError BAD_AMOUNT */
export function parseTokens(text: string): bigint {
  const match = /^(\d{1,15})(?:\.(\d{1,18}))?$/.exec(text.trim())
  if (!match)
    throw new CliError('BAD_AMOUNT', `"${text}" is no amount of tokens`, 'An amount is a number such as 12.5.')
  return BigInt(match[1]!) * TOKEN + BigInt((match[2] ?? '').padEnd(18, '0'))
}

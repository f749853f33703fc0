import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { type Params, preset } from '@cumulus/params'
import { writeFileAtomic } from '@cumulus/service'
import { secp256k1Address, secp256k1PublicKey } from '@cumulus/signature'
import { type Address, addressFromBytes } from '@cumulus/types'
import { CliError } from './command.ts'

/** An account of the chain whose key we hold. */
export interface HeldAccount {
  readonly address: Address
  readonly privateKey: `0x${string}`
}

export function newAccount(): HeldAccount {
  const privateKey = randomBytes(32) // zero or above the group order: never, with 2^-128
  return { address: addressOf(privateKey), privateKey: bytesToHex(privateKey) }
}

export function addressOf(privateKey: Uint8Array): Address {
  return addressFromBytes(secp256k1Address(secp256k1PublicKey(privateKey)))
}

export async function writeKeyFile(path: string, account: HeldAccount): Promise<void> {
  await writeFileAtomic(path, `${account.privateKey}\n`, { mode: 0o600 })
}

/** @throws CliError NO_KEY_FILE, BAD_KEY_FILE */
export async function readKeyFile(path: string | undefined): Promise<Uint8Array> {
  if (path === undefined) {
    throw new CliError(
      'NO_KEY_FILE',
      'this role needs a chain account',
      'Name a file with its private key: --key-file FILE.',
    )
  }
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new CliError(
      'NO_KEY_FILE',
      `cannot read ${path}: ${(error as Error).message}`,
      'Name a file with the private key of the chain account: --key-file FILE.',
    )
  }
  return parsePrivateKey(text.trim(), path)
}

/** @throws CliError BAD_KEY */
export function parsePrivateKey(text: string, from: string): Uint8Array {
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text)) {
    throw new CliError('BAD_KEY', `${from} holds no private key`, 'A private key is 64 hex digits, with or without 0x.')
  }
  return hexToBytes(text)
}

/** @throws CliError BAD_SETTING */
export function optionalAddress(name: string, value: string | undefined): Address | undefined {
  if (value === undefined || value === '') return undefined
  if (!/^0x[0-9a-fA-F]{40}$/.test(value))
    throw new CliError('BAD_SETTING', `--${name}: "${value}" is not an address`, 'An address is 0x and 40 hex digits.')
  return value as Address
}

/** Which storage class so many miners can carry. */
export function classFor(miners: number, params: Params = preset('dev')): 'standard' | 'light' {
  return miners >= params.classes.standard.seatCount ? 'standard' : 'light'
}

import { bytesToHex, concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { minimal } from '@cumulus/params'
import { secp256k1Address, secp256k1PublicKey } from '@cumulus/signature'
import type { Address } from '@cumulus/types'
import { createCustomCommon, Mainnet } from '@ethereumjs/common'
import {
  createAccessList2930Tx,
  createEOACode7702Tx,
  createFeeMarket1559Tx,
  createLegacyTx,
  type TypedTxData,
} from '@ethereumjs/tx'
import {
  type DecidedBatch,
  FORK,
  type Genesis,
  Ledger,
  type LedgerInit,
  type LedgerModules,
  MemoryLedgerStore,
  type ModuleMessage,
  type ModuleResult,
} from '../../src/index.ts'
import { bytesToInteger, wordToBytes } from '../../src/trie/rlp.ts'

export const params = minimal
/** Of the reference implementations: none of our cryptography in it. */
export const common = createCustomCommon({ chainId: params.chainId, name: 'reference' }, Mainnet, { hardfork: FORK })
export const ETHER = 10n ** 18n
export const GENESIS_MS = 1_700_000_000_000

export interface TestAccount {
  readonly privateKey: Uint8Array
  readonly address: Address
}

/** Account number `index`, the same in each run. */
export function account(index: number): TestAccount {
  const privateKey = keccak256(Uint8Array.of(0xac, index))
  return { privateKey, address: bytesToHex(secp256k1Address(secp256k1PublicKey(privateKey))) }
}

export const [alice, bob, carol, miner] = [account(0), account(1), account(2), account(3)] as const

export type TxFields = TypedTxData & { type?: number }

/** Signed with the reference library, so that our decoder is checked against it all the time. */
export function sign(from: TestAccount, fields: Record<string, unknown>, chain = common): Uint8Array {
  const data = { gasLimit: 100_000n, maxFeePerGas: 2n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n, ...fields }
  const gasPrice = fields['gasPrice'] ?? data.maxFeePerGas
  const { maxFeePerGas: _, maxPriorityFeePerGas: __, ...plain } = data
  const options = { common: chain }
  const tx =
    fields['type'] === 0
      ? createLegacyTx({ ...plain, gasPrice } as TxFields, options)
      : fields['type'] === 1
        ? createAccessList2930Tx({ ...plain, gasPrice, type: 1 } as TxFields, options)
        : fields['type'] === 4
          ? createEOACode7702Tx(data as Parameters<typeof createEOACode7702Tx>[0], options)
          : createFeeMarket1559Tx({ ...data, type: 2 } as Parameters<typeof createFeeMarket1559Tx>[0], options)
  return tx.sign(from.privateKey).serialize()
}

export const MODULE: Address = '0x0000000000000000000000000000000000000c99'
export const MODULE_EVENT = keccak256(new TextEncoder().encode('Counted(uint256)'))

/** First byte of the data of a call to `TestModule`. */
export const OP = { count: 1, revert: 2, bug: 3, burnGas: 4, lieAboutGas: 5 } as const

/** A module small enough to see through: counts in its slot 0 and remembers who called. */
export class TestModule implements LedgerModules {
  readonly addresses = [MODULE]
  readonly messages: ModuleMessage[] = []
  /** Logs once in each block with this number. */
  hookAt: bigint | undefined
  hookBug = false

  has(address: Address): boolean {
    return address.toLowerCase() === MODULE
  }

  genesis: LedgerModules['genesis'] = (state) => {
    state.setNonce(MODULE, 1n)
    state.setCode(MODULE, Uint8Array.of(0xfe))
    state.setStorage(MODULE, 1n, 7n)
  }

  dispatch: LedgerModules['dispatch'] = (message, state): ModuleResult => {
    this.messages.push(message)
    const fail = (reason: string): ModuleResult => ({
      ok: false,
      output: new TextEncoder().encode(reason),
      gasUsed: 300n,
      logs: [],
    })
    const op = message.data[0]
    if (message.kind === 'delegatecall' || message.kind === 'callcode') return fail('call kind')
    if (op === OP.bug) throw new TypeError('undefined is not a function')
    if (op === OP.burnGas || message.gasLimit < 5_000n) return { ...fail(''), gasUsed: message.gasLimit }
    if (op === OP.lieAboutGas) return { ...fail(''), gasUsed: message.gasLimit + 1n }
    if (op === OP.revert) return fail('no')
    if (op !== OP.count) return fail('unknown function')
    const count = state.getStorage(MODULE, 0n) + 1n
    if (message.isStatic) return { ok: true, output: wordToBytes(count - 1n), gasUsed: 2_100n, logs: [] }
    state.setStorage(MODULE, 0n, count)
    return {
      ok: true,
      output: wordToBytes(count),
      gasUsed: 5_000n,
      logs: [{ address: MODULE, topics: [MODULE_EVENT], data: wordToBytes(count) }],
    }
  }

  onBlock: LedgerModules['onBlock'] = (state, block) => {
    if (this.hookBug) throw new Error('hook')
    if (block.number !== this.hookAt) return []
    state.setStorage(MODULE, 2n, block.number)
    return [{ address: MODULE, topics: [MODULE_EVENT], data: wordToBytes(block.number) }]
  }
}

export const genesis: Genesis = {
  timestampMs: GENESIS_MS,
  alloc: {
    [alice.address]: { balance: 1_000n * ETHER },
    [bob.address]: { balance: 1_000n * ETHER },
    [carol.address]: { balance: 1n * ETHER },
  },
}

export interface Fixture {
  readonly ledger: Ledger
  readonly store: MemoryLedgerStore
  readonly modules: TestModule
}

/** With `TestModule` for modules unless told otherwise; `modules` of the result means nothing then. */
export async function openLedger(init: Partial<LedgerInit> = {}): Promise<Fixture> {
  const store = (init.store ?? new MemoryLedgerStore()) as MemoryLedgerStore
  const modules = (init.modules ?? new TestModule()) as TestModule
  return { ledger: await Ledger.open({ params, genesis, ...init, store, modules }), store, modules }
}

/** The batch that follows the head, one slot later. */
export function batchOf(
  ledger: Ledger,
  transactions: DecidedBatch['transactions'],
  change: Partial<DecidedBatch> = {},
) {
  const number = ledger.head.number + 1n
  return {
    number,
    timestampMs: ledger.head.timestampMs + params.slotMs,
    prevRandao: keccak256(wordToBytes(number)),
    coinbase: miner.address,
    transactions,
    ...change,
  }
}

/** Creation code that deploys `runtime`. */
export function deployer(runtime: Uint8Array): Uint8Array {
  // PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN: the 10 bytes before the runtime code.
  const length = hexToBytes(runtime.length.toString(16).padStart(4, '0'))
  return concatBytes(Uint8Array.of(0x61), length, hexToBytes('80600a5f395ff3'), runtime)
}

/**
 * A contract that keeps what it is sent: slot 0 += the first word of the calldata, LOG1 with the new value, which it
 * returns; reverts with 0xdead if the word is 0.
 */
export const ADDER = hexToBytes(
  [
    '5f35', // PUSH0 CALLDATALOAD
    '80', // DUP1
    '601057', // PUSH1 16 JUMPI
    '61dead5f52', // PUSH2 dead PUSH0 MSTORE
    '6002601efd', // PUSH1 2 PUSH1 30 REVERT
    '5b', // 16: JUMPDEST
    '5f5401', // PUSH0 SLOAD ADD
    '80', // DUP1
    '5f55', // PUSH0 SSTORE
    '80', // DUP1
    '5f52', // PUSH0 MSTORE
    '60205fa1', // PUSH1 32 PUSH0 LOG1: the topic is the value
    '60205ff3', // PUSH1 32 PUSH0 RETURN
  ].join(''),
)

/**
 * A contract that passes its calldata on to `target` by `opcode` and returns 32 bytes: success, then what came back.
 * Value is passed on with CALL and CALLCODE.
 */
export function forwarder(target: Address, opcode: 'call' | 'callcode' | 'delegatecall' | 'staticcall'): Uint8Array {
  const code = { call: 'f1', callcode: 'f2', delegatecall: 'f4', staticcall: 'fa' }[opcode]
  const value = opcode === 'call' || opcode === 'callcode' ? '34' : ''
  return hexToBytes(
    [
      '365f5f37', // CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY
      '5f5f365f', // out size 0, out offset 0, in size CALLDATASIZE, in offset 0
      value,
      `73${target.slice(2)}`,
      `5a${code}`, // GAS, the call
      '5f52', // MSTORE at 0: success
      '3d5f60203e', // RETURNDATASIZE PUSH0 PUSH1 32 RETURNDATACOPY
      '3d6020015ff3', // return 32 + RETURNDATASIZE bytes from 0
    ].join(''),
  )
}

export function word(bytes: Uint8Array, index = 0): bigint {
  return bytesToInteger(bytes.subarray(32 * index, 32 * index + 32))
}

import assert from 'node:assert/strict'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { evenAlloc, Ledger, MemoryLedgerStore, ModuleRegistry, modulesFor, type Receipt } from '@cumulus/ledger'
import { minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import {
  type Abi,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeErrorResult,
  decodeEventLog,
  decodeFunctionResult,
  encodeDeployData,
  encodeFunctionData,
  type PrivateKeyAccount,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { predeploysFor } from '../src/index.ts'

export const TOKEN = 10n ** 18n

export type Person = PrivateKeyAccount & { readonly lower: Address }

function person(index: number): Person {
  const account = privateKeyToAccount(`0x${index.toString(16).padStart(64, '0')}`)
  return Object.assign(account, { lower: account.address.toLowerCase() as Address })
}

export const [alice, bob, carol] = [person(1), person(2), person(3)] as const

type Mutability = 'pure' | 'view' | 'nonpayable' | 'payable'
interface Contract<A extends Abi> {
  readonly address: Address
  readonly abi: A
}

const START_MS = 1_700_000_000_000

/** A chain as nodes have it, with all modules and predeploys; one transaction a block. */
export class ContractChain {
  readonly ledger: Ledger
  readonly params: Params
  #timeMs = START_MS

  private constructor(ledger: Ledger, params: Params) {
    this.ledger = ledger
    this.params = params
  }

  static async open(params: Params = minimal): Promise<ContractChain> {
    const alloc = evenAlloc([alice.lower, bob.lower, carol.lower], 1_000_000n * TOKEN)
    const ledger = await Ledger.open({
      params,
      genesis: { timestampMs: START_MS, alloc, predeploys: predeploysFor(params) },
      store: new MemoryLedgerStore(),
      modules: new ModuleRegistry(modulesFor(params)),
    })
    return new ContractChain(ledger, params)
  }

  /** Chain time, in seconds. */
  get now(): bigint {
    return BigInt(Math.floor(this.#timeMs / 1000))
  }

  pass(seconds: number): void {
    this.#timeMs += 1000 * seconds
  }

  /** A block with this transaction alone. */
  async send(
    from: Person,
    tx: { to?: Address; data?: `0x${string}`; value?: bigint; gas?: bigint } = {},
  ): Promise<Receipt> {
    this.pass(1)
    const fee = 2n * this.ledger.nextBaseFee
    const raw = await from.signTransaction({
      type: 'eip1559',
      chainId: this.params.chainId,
      nonce: Number(this.ledger.getNonce(from.lower)),
      gas: 15_000_000n,
      maxFeePerGas: fee,
      maxPriorityFeePerGas: 0n,
      ...tx,
    })
    const { receipts, dropped } = await this.ledger.execute({
      number: this.ledger.head.number + 1n,
      timestampMs: this.#timeMs,
      prevRandao: new Uint8Array(32).fill(7),
      coinbase: carol.lower,
      transactions: [hexToBytes(raw)],
    })
    assert.deepEqual(dropped, [])
    return receipts[0]!
  }

  /** A transaction that calls a contract and must succeed; or fail, if `fails` says with what. */
  async write<
    const A extends Abi,
    Name extends ContractFunctionName<A, Mutability>,
    Args extends ContractFunctionArgs<A, Mutability, Name>,
  >(
    from: Person,
    { address, abi }: Contract<A>,
    functionName: Name,
    args: Args,
    options: { value?: bigint; gas?: bigint } = {},
  ): Promise<Receipt> {
    const data = encodeFunctionData({ abi, functionName, args } as never)
    const receipt = await this.send(from, { to: address, data, ...options })
    if (!receipt.ok) {
      const { output } = await this.ledger.call({ from: from.lower, to: address, data: hexToBytes(data), ...options })
      throw new Reverted(abi, output)
    }
    return receipt
  }

  async read<
    const A extends Abi,
    Name extends ContractFunctionName<A, Mutability>,
    Args extends ContractFunctionArgs<A, Mutability, Name>,
  >(
    { address, abi }: Contract<A>,
    functionName: Name,
    args: Args,
    options: { from?: Address; gas?: bigint; value?: bigint } = {},
  ): Promise<ContractFunctionReturnType<A, Mutability, Name, Args>> {
    const data = encodeFunctionData({ abi, functionName, args } as never)
    const { ok, output } = await this.ledger.call({ to: address, data: hexToBytes(data), ...options })
    if (!ok) throw new Reverted(abi, output)
    return decodeFunctionResult({ abi, functionName, args, data: bytesToHex(output) } as never) as never
  }

  async deploy<const A extends Abi>(
    from: Person,
    { abi, creationCode }: { abi: A; creationCode: `0x${string}` },
    args: readonly unknown[] = [],
  ): Promise<Contract<A>> {
    const data = encodeDeployData({ abi, bytecode: creationCode, args } as never)
    const receipt = await this.send(from, { data })
    assert.ok(receipt.ok)
    return { address: receipt.contractAddress!, abi }
  }
}

/** A refusal, in the words of the contract. */
export class Reverted extends Error {
  constructor(abi: Abi, data: Uint8Array) {
    super(reason(abi, data))
  }
}

export function reason(abi: Abi, data: Uint8Array): string {
  if (data.length === 0) return 'nothing said'
  try {
    const { errorName, args } = decodeErrorResult({ abi, data: bytesToHex(data) })
    return errorName === 'Error' ? String(args?.[0]) : `${errorName}(${args ?? ''})`
  } catch {
    return bytesToHex(data)
  }
}

/** Events of one contract in a receipt. */
export function eventsOf(receipt: Pick<Receipt, 'logs'>, { address, abi }: Contract<Abi>) {
  return receipt.logs
    .filter((log) => log.address === address)
    .map((log) => {
      const topics = log.topics.map(bytesToHex) as [`0x${string}`]
      const { eventName, args } = decodeEventLog({ abi, topics, data: bytesToHex(log.data) })
      return { name: String(eventName), args: args as unknown as Record<string, unknown> }
    })
}

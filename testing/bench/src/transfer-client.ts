import { setTimeout as sleep } from 'node:timers/promises'
import type { ValidatorNetwork, ValidatorProcess } from '@cumulus/e2e'
import { paramsOf } from '@cumulus/execution'
import { type Hex, parseGwei } from 'viem'

export type Account = ValidatorNetwork['accounts'][number]

/** A transfer of the first account: when a client sees its receipt, and when its certificate. */
export async function measureOne(network: ValidatorNetwork, validator: ValidatorProcess, signal: AbortSignal) {
  const account = network.accounts[0]!
  const nonce = await nonceOf(validator, account)
  const raw = await signedTransfer(network, account, nonce)
  const startMs = performance.now()
  const hash = await validator.request<Hex>('eth_sendRawTransaction', raw)
  let height: number | undefined
  while (height === undefined) {
    await sleep(2, undefined, { signal })
    const receipt = await validator.request<{ blockNumber: Hex } | null>('eth_getTransactionReceipt', hash)
    if (receipt) height = Number(receipt.blockNumber)
  }
  const executedMs = performance.now() - startMs
  while ((await validator.height('finalized')) < height) await sleep(2, undefined, { signal })
  return { executedMs, certifiedMs: performance.now() - startMs }
}

/** One transfer after the other, each with nothing else to do. */
export async function measureLatency(network: ValidatorNetwork, count: number, signal: AbortSignal) {
  const executedMs: number[] = []
  const certifiedMs: number[] = []
  for (let i = 0; i < count; i++) {
    const one = await measureOne(network, network.validators[0]!, signal)
    executedMs.push(one.executedMs)
    certifiedMs.push(one.certifiedMs)
  }
  return { executedMs, certifiedMs }
}

/** Of all validators, because one that is a block behind names a nonce that was used. */
export async function nextNonce({ validators }: ValidatorNetwork, account: Account): Promise<number> {
  return Math.max(...(await Promise.all(validators.map((validator) => nonceOf(validator, account)))))
}

export async function nonceOf(validator: ValidatorProcess, { address }: Account): Promise<number> {
  return Number(await validator.request<Hex>('eth_getTransactionCount', address, 'latest'))
}

export async function handIn(validator: ValidatorProcess, raw: Hex): Promise<void> {
  await validator.request('eth_sendRawTransaction', raw)
}

export async function signedTransfer({ genesis }: ValidatorNetwork, account: Account, nonce: number): Promise<Hex> {
  return account.signTransaction({
    chainId: paramsOf(genesis).chainId,
    type: 'eip1559',
    nonce,
    to: `0x${'be'.repeat(20)}`,
    value: 1n,
    gas: 21_000n,
    maxFeePerGas: parseGwei('100'),
    maxPriorityFeePerGas: parseGwei('1'),
  })
}

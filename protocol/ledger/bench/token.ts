import { concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { bytesToInteger, wordToBytes } from '../src/trie/rlp.ts'

const start = [
  '5f3560e01c63a9059cbb14601157', // selector of transfer(address,uint256)? jump to 17
  '5f5ffd', // else revert
  '5b602435', // 17: [amount]
  '335f525f60205260405f20', // [amount, slot of the sender]
  '8054', // [amount, slot, balance]
  '82811015', // balance ≥ amount?
].join('')
const enough = (start.length / 2 + 6).toString(16).padStart(2, '0')

/**
 * What a transfer of an ERC-20 token costs an EVM, and nothing else: transfer(address,uint256) with a check of the
 * selector and of the balance, two balances read and written, one Transfer event with three topics, true as the answer.
 * Balances lie at keccak256(address ‖ 0), as Solidity has them.
 */
export const TOKEN_RUNTIME = hexToBytes(
  [
    start,
    `60${enough}575f5ffd5b`,
    '829003', // [amount, slot, balance − amount]
    '9055', // stored: [amount]
    '600435805f5260405f20', // [amount, to, slot of to]
    '805483019055', // stored: [amount, to]
    '815f5233', // [amount, to, from]
    '7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef', // Transfer(address,address,uint256)
    '60205fa3', // LOG3
    '60015f5260205ff3', // return true
  ].join(''),
)

/** Where the token keeps the balance of `owner`. */
export function balanceSlot(owner: Address): bigint {
  return bytesToInteger(keccak256(concatBytes(wordToBytes(BigInt(owner)), wordToBytes(0n))))
}

import { bytesToHex } from '@cumulus/bytes'
import { decodeErrorResult, parseAbi } from 'viem/utils'

const standardErrors = parseAbi(['error Error(string reason)', 'error Panic(uint256 code)'])

/** Text of Solidity's own `Error(string)` and `Panic(uint256)`; undefined for custom errors and empty data. */
export function revertReason(data: Uint8Array): string | undefined {
  try {
    const { errorName, args } = decodeErrorResult({ abi: standardErrors, data: bytesToHex(data) })
    return errorName === 'Error' ? args[0] : `panic 0x${args[0].toString(16)}`
  } catch {
    return undefined
  }
}

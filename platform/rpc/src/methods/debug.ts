import type { CallOptions, CallRequest, TraceConfig, ViewBlock } from '../chain-view.ts'
import { boolean, callRequest, type Decoder, hash, invalid, isRecord, optional, quantity, text } from '../decode.ts'
import { type MethodTable, method } from '../method.ts'
import { callOverrides } from '../overrides.ts'
import { RpcError } from '../rpc-error.ts'
import { latest, type MethodContext } from './context.ts'

/** How transactions and calls run, step by step or call by call, in geth's form. One trace at a time: they are the dearest requests. */
export function debugMethods(context: MethodContext): MethodTable {
  const { chain, limits } = context
  const request = callRequest(limits)
  const { accounts, block: blockOverrides } = callOverrides(limits)

  const traceBlock = (block: ViewBlock, config: TraceConfig, asker: AbortSignal) =>
    context.trace((signal) => chain.traceBlock(block.number, config, signal), asker)

  return {
    ...method('debug_traceTransaction', [hash, traceConfig], ([of, config], { signal }) => {
      const place = chain.place(of)
      if (!place) throw new RpcError('REFUSED', 'transaction not found')
      return context.trace((limited) => chain.traceTransaction(of, config, limited), signal)
    }),
    ...method('debug_traceBlockByNumber', [latest, traceConfig], ([at, config], { signal }) =>
      traceBlock(context.requireBlock(at), config, signal),
    ),
    ...method('debug_traceBlockByHash', [hash, traceConfig], ([of, config], { signal }) =>
      traceBlock(context.requireBlock({ hash: of }), config, signal),
    ),
    ...method('debug_traceCall', [request, latest, (value) => value], ([call, at, options], { signal }) => {
      const { stateOverrides, blockOverrides: overriddenBlock, ...rest } = isRecord(options) ? options : {}
      const config = traceConfig(rest, 'parameter 3')
      const overrides: Omit<CallOptions, 'signal'> = {
        accounts: accounts(stateOverrides, 'parameter 3.stateOverrides'),
        block: blockOverrides(overriddenBlock, 'parameter 3.blockOverrides'),
      }
      const capped: CallRequest = {
        ...call,
        gas: call.gas === undefined || call.gas > limits.callGasMax ? limits.callGasMax : call.gas,
      }
      return context.trace(
        (limited) => context.stateAt(at).traceCall(capped, config, { ...overrides, signal: limited }),
        signal,
      )
    }),
  }
}

const KNOWN = [
  'tracer',
  'tracerConfig',
  'disableStorage',
  'disableStack',
  'enableMemory',
  'enableReturnData',
  'limit',
  'timeout',
  'reexec',
]

/** geth's options. `timeout` and `reexec` are read over: a trace has the time that the node gives it. */
const traceConfig: Decoder<TraceConfig> = (value, name) => {
  if (value === undefined || value === null) return {}
  if (!isRecord(value)) throw invalid(name, 'an object', value)
  const unknown = Object.keys(value).find((key) => !KNOWN.includes(key))
  if (unknown !== undefined) {
    throw new RpcError('INVALID_PARAMS', `${name} has a field "${unknown.slice(0, 40)}"; known are ${KNOWN.join(', ')}`)
  }
  const field = <Value>(key: string, decoder: Decoder<Value>): Value | undefined =>
    optional(decoder)(value[key], `${name}.${key}`)
  const tracer = field('tracer', text)
  if (tracer === undefined || tracer === '' || tracer === 'structLogger') {
    const limit = field('limit', quantity)
    return {
      disableStorage: field('disableStorage', boolean),
      disableStack: field('disableStack', boolean),
      enableMemory: field('enableMemory', boolean),
      enableReturnData: field('enableReturnData', boolean),
      // 0 means all, as in geth.
      limit: limit === undefined || limit === 0n ? undefined : Number(limit),
    }
  }
  if (tracer !== 'callTracer') {
    throw new RpcError('INVALID_PARAMS', `no tracer "${tracer.slice(0, 40)}": callTracer, or none for every step`)
  }
  const options = value['tracerConfig'] ?? {}
  if (!isRecord(options)) throw invalid(`${name}.tracerConfig`, 'an object', options)
  return {
    tracer: 'callTracer',
    onlyTopCall: optional(boolean)(options['onlyTopCall'], `${name}.tracerConfig.onlyTopCall`),
    withLog: optional(boolean)(options['withLog'], `${name}.tracerConfig.withLog`),
  }
}

import { bytesToHex, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import {
  type Abi,
  type AbiError,
  type AbiEvent,
  type AbiFunction,
  type AbiParameter,
  type AbiParametersToPrimitiveTypes,
  type AbiParameterToPrimitiveType,
  type ParseAbiItem,
  parseAbiItem,
} from 'abitype'
import { type Codec, compileParameter, compileTuple, encodeWord, type TupleCodec } from './abi-codec.ts'
import type { Execution } from './execution.ts'
import { gasPrices } from './gas.ts'
import type { BlockContext, BlockOutcome, ModuleGenesis, ModuleMessage } from './message.ts'
import { Revert, require } from './revert.ts'
import { layOut, type SlotPort, type StorageFields, type StorageView } from './solidity-storage.ts'

type Signatures = Readonly<Record<string, string>>
type Structs = readonly string[]
type ItemOf<Signature extends string, S extends Structs> = ParseAbiItem<readonly [Signature, ...S]>
type FunctionOf<Signature extends string, S extends Structs> = Extract<ItemOf<Signature, S>, AbiFunction>
type Values<Parameters extends readonly AbiParameter[], Kind extends 'inputs' | 'outputs'> =
  AbiParametersToPrimitiveTypes<Parameters, Kind> extends infer List extends readonly unknown[] ? List : never
type Result<Outputs extends readonly AbiParameter[]> = Outputs extends readonly []
  ? void
  : Outputs extends readonly [infer Only extends AbiParameter]
    ? AbiParameterToPrimitiveType<Only, 'outputs'>
    : Values<Outputs, 'outputs'>

type EventArguments<Signature extends string, S extends Structs> =
  Extract<ItemOf<Signature, S>, AbiEvent> extends infer Event extends AbiEvent
    ? Values<Event['inputs'], 'inputs'>
    : never
type ErrorArguments<Signature extends string, S extends Structs> =
  Extract<ItemOf<Signature, S>, AbiError> extends infer Item extends AbiError ? Values<Item['inputs'], 'inputs'> : never
type ItemsOf<S extends Signatures, St extends Structs> = { [Name in keyof S]: ItemOf<S[Name], St> }[keyof S]

/** What one definition says. */
export interface ModuleDefinition<
  Name extends string,
  Storage extends StorageFields,
  Events extends Signatures,
  Errors extends Signatures,
  S extends Structs,
> {
  readonly name: Name
  readonly address: Address
  /** One line for the Solidity file and the docs. */
  readonly about?: string
  /** `struct Name { … }` in Solidity, for those that stand in signatures. */
  readonly structs?: S
  /** Variables in the order of their slots: only ever append. */
  readonly storage: Storage
  /** `event Name(…)` by name. */
  readonly events?: Events
  /** `error Name(…)` by name. */
  readonly errors?: Errors
  /** Whether it makes and burns tokens. It begins after all others, and is told what there is then. */
  readonly issues?: boolean
}

/** What a handler is given. */
export interface ModuleContext<
  Storage extends StorageFields,
  Events extends Signatures,
  Errors extends Signatures,
  S extends Structs,
> {
  /** Who called: an account, a contract, or the module that asked this one. */
  readonly caller: Address
  readonly origin: Address
  /** Wei that came with the call, already on the module's account. 0 in functions that another module asked. */
  readonly value: bigint
  readonly address: Address
  readonly block: BlockContext
  readonly params: Params
  /** The module's variables. */
  readonly s: StorageView<Storage>
  readonly emit: { readonly [Name in keyof Events]: (...values: EventArguments<Events[Name], S>) => void }
  /** Makes a revert with a custom error, to be thrown. */
  readonly error: { readonly [Name in keyof Errors]: (...values: ErrorArguments<Errors[Name], S>) => Revert }
  /** Typed functions of another module, run on that module's variables with this one as the caller. */
  ask<Services>(module: Askable<Services>): Services
  /** Pays from the module's account. Runs no code there. */
  transfer(to: Address, amount: bigint): void
  balance(): bigint
  /** Makes new tokens on the module's account. Only in a module that `issues`, and in a hook: no transaction makes tokens. */
  issue(amount: bigint): void
  /** Takes tokens off the module's account for ever. Only in a module that `issues`. */
  burn(amount: bigint): void
  /** Charges for work that the host does not see: cryptography, long computation. */
  charge(gas: number): void
  /** What the call has cost so far. */
  gasUsed(): number
  /** Code at an account; empty for accounts of people. */
  codeOf(account: Address): Uint8Array
}

/** Does what is due at the end of an epoch or era, and says whether more of it is left for the next block. */
type PeriodHandler<Context> = (context: Context, period: number) => 'more' | undefined | void

type GenesisTold = ModuleGenesis & {
  endow(balance: bigint): void
  /** Wei there are so far, on all accounts. Whole for a module that `issues`. */
  readonly supply: bigint
}

/** The context of a module's handlers, for helper functions: `type C = ContextOf<typeof definition>`. */
export type ContextOf<M> =
  M extends Module<string, infer Storage, infer Events, infer Errors, infer S, infer _F, infer _Services>
    ? ModuleContext<Storage, Events, Errors, S>
    : never

interface Askable<Services> {
  /** Only a type: what `ask` gives. */
  readonly services?: Services
}

type AnyContext = ModuleContext<StorageFields, Signatures, Signatures, Structs>
type AnyHandler = (context: AnyContext, ...values: never[]) => unknown

/** A module as the registry sees it. */
export interface AnyModule {
  readonly name: string
  readonly address: Address
  readonly abi: Abi
  readonly definition: ModuleDefinition<string, StorageFields, Signatures, Signatures, Structs>
  /** Functions as written. */
  readonly signatures: readonly string[]
  runGenesis(execution: Execution, config: ModuleGenesis & { readonly supply: bigint }): void
  runHooks(execution: Execution, outcome: BlockOutcome): void
  run(execution: Execution, message: ModuleMessage): Uint8Array
  isView(data: Uint8Array): boolean
}

interface CompiledFunction {
  readonly abi: AbiFunction
  readonly gas: number
  readonly handler: AnyHandler
  readonly inputs: TupleCodec
  readonly outputs: TupleCodec
}

/** A protocol module: made by `module`, extended by its methods, run by `ModuleRegistry`. */
export class Module<
  Name extends string,
  Storage extends StorageFields,
  Events extends Signatures,
  Errors extends Signatures,
  S extends Structs,
  Functions extends readonly AbiFunction[],
  // biome-ignore lint/complexity/noBannedTypes: nothing to ask for yet
  Services = {},
> implements AnyModule, Askable<Services>
{
  readonly name: Name
  readonly address: Address
  readonly definition: ModuleDefinition<Name, Storage, Events, Errors, S>
  declare readonly services?: Services
  /** Signatures as written, for the Solidity file. */
  readonly signatures: string[] = []
  readonly #functions = new Map<number, CompiledFunction>()
  readonly #functionItems: AbiFunction[] = []
  readonly #otherItems: (AbiEvent | AbiError)[] = []
  readonly #services: Record<string, (context: never, ...values: never[]) => unknown> = {}
  readonly #variables: new (
    port: SlotPort,
  ) => StorageView<Storage>
  readonly #emitters: new (
    call: CallScope,
  ) => object
  readonly #errors: Record<string, (...values: unknown[]) => Revert> = {}
  /** Made when the module is first asked, with whatever services it has by then. */
  #answers: (new (context: AnyContext) => object) | undefined
  #genesis: ((context: AnyContext, genesis: GenesisTold) => void) | undefined
  #onBlock: ((context: AnyContext, outcome: BlockOutcome) => void) | undefined
  readonly #periodHooks: { period: 'epoch' | 'era'; slot: bigint; handler: PeriodHandler<AnyContext> }[] = []

  constructor(definition: ModuleDefinition<Name, Storage, Events, Errors, S>) {
    this.definition = definition
    this.name = definition.name
    this.address = definition.address.toLowerCase() as Address
    this.#variables = variablesClass(definition.storage)
    const events: Record<string, EventEncoder> = {}
    for (const [name, signature] of Object.entries(definition.events ?? {})) {
      const item = this.#parse(signature) as AbiEvent
      if (item.name !== name) throw new Error(`event ${item.name} is listed as ${name}`)
      this.#otherItems.push(item)
      events[name] = compileEvent(item)
    }
    this.#emitters = emittersClass(events)
    for (const [name, signature] of Object.entries(definition.errors ?? {})) {
      const item = this.#parse(signature) as AbiError
      if (item.name !== name) throw new Error(`error ${item.name} is listed as ${name}`)
      this.#otherItems.push(item)
      this.#errors[name] = compileError(item)
    }
  }

  /** The plain JSON ABI, with the exact type that viem infers arguments and results from. */
  get abi(): readonly [...Functions, ...(ItemsOf<Events, S> | ItemsOf<Errors, S>)[]] {
    return [...this.#functionItems, ...this.#otherItems] as never
  }

  /** What the module does in the first chain block, the only one in which it can `endow` itself with new tokens. */
  genesis(handler: (context: ModuleContext<Storage, Events, Errors, S>, genesis: GenesisTold) => void): this {
    this.#genesis = handler as never
    return this
  }

  /** What the module does at the end of every chain block: through a queue, with a bound on the work of one block. */
  onBlock(handler: (context: ModuleContext<Storage, Events, Errors, S>, outcome: BlockOutcome) => void): this {
    this.#onBlock = handler as never
    return this
  }

  /**
   * What the module does about each epoch that is over, in their order and one at a time: in the first chain block
   * behind the epoch, after its transactions. A handler with too much work for one block does some, answers 'more', and
   * is called with the same epoch again in the next block. After a standstill epochs are caught up with one a block, so
   * that `epoch` may be well behind `c.block.epoch`.
   */
  onEpoch(handler: PeriodHandler<ModuleContext<Storage, Events, Errors, S>>): this {
    return this.#onPeriod('epoch', handler)
  }

  /** As `onEpoch`, for eras. */
  onEra(handler: PeriodHandler<ModuleContext<Storage, Events, Errors, S>>): this {
    return this.#onPeriod('era', handler)
  }

  #onPeriod(period: 'epoch' | 'era', handler: PeriodHandler<ModuleContext<Storage, Events, Errors, S>>): this {
    if (this.#periodHooks.some((hook) => hook.period === period)) throw new Error(`${this.name}: two ${period} hooks`)
    this.#periodHooks.push({ period, slot: hookSlot(period), handler: handler as never })
    return this
  }

  /**
   * A function of the ABI.
   *
   * @param signature as in Solidity: `function stake() payable returns (uint256 total)`
   * @param gas for what the host does not see; slots, logs and transfers are charged by the host
   */
  fn<const Signature extends string>(
    signature: Signature,
    gas: number,
    handler: (
      context: ModuleContext<Storage, Events, Errors, S>,
      ...values: Values<FunctionOf<Signature, S>['inputs'], 'inputs'>
    ) => Result<FunctionOf<Signature, S>['outputs']>,
  ): Module<Name, Storage, Events, Errors, S, readonly [...Functions, FunctionOf<Signature, S>], Services> {
    const item = this.#parse(signature) as AbiFunction
    const selector = selectorOf(item)
    if (this.#functions.has(selector)) throw new Error(`${this.name}: two functions ${signature}`)
    this.#functions.set(selector, {
      abi: item,
      gas,
      handler: handler as never,
      inputs: compileTuple(item.inputs),
      outputs: compileTuple(item.outputs),
    })
    this.#functionItems.push(item)
    this.signatures.push(signature)
    return this as never
  }

  /** A function of the ABI that only reads: `fn` whose signature says `view`. */
  view<const Signature extends `${string}view${string}`>(
    signature: Signature,
    handler: (
      context: ModuleContext<Storage, Events, Errors, S>,
      ...values: Values<FunctionOf<Signature, S>['inputs'], 'inputs'>
    ) => Result<FunctionOf<Signature, S>['outputs']>,
  ): Module<Name, Storage, Events, Errors, S, readonly [...Functions, FunctionOf<Signature, S>], Services> {
    return this.fn(signature, 0, handler)
  }

  /** A function for other modules only: not in the ABI, reached by `context.ask(module).name(…)`. */
  service<const ServiceName extends string, Arguments extends unknown[], Answer>(
    name: ServiceName,
    handler: (context: ModuleContext<Storage, Events, Errors, S>, ...values: Arguments) => Answer,
  ): Module<
    Name,
    Storage,
    Events,
    Errors,
    S,
    Functions,
    Services & { readonly [N in ServiceName]: (...values: Arguments) => Answer }
  > {
    this.#services[name] = handler as never
    this.#answers = undefined
    return this as never
  }

  runGenesis(execution: Execution, config: ModuleGenesis & { readonly supply: bigint }): void {
    const endow = (balance: bigint) => execution.state.setBalance(this.address, balance)
    this.#genesis?.(this.#context(execution, this.address, 0n), { ...config, endow })
  }

  /** Runs the hooks of one chain block: eras and epochs that are over first. */
  runHooks(execution: Execution, outcome: BlockOutcome): void {
    if (this.#onBlock === undefined && this.#periodHooks.length === 0) return
    const context = this.#context(execution, this.address, 0n)
    const slots = execution.slotsOf(this.address)
    for (const { period, slot, handler } of this.#periodHooks) {
      const next = Number(slots.load(slot))
      if (next >= execution.block[period]) continue
      if (handler(context, next) !== 'more') slots.store(slot, BigInt(next + 1))
    }
    this.#onBlock?.(context, outcome)
  }

  isView(data: Uint8Array): boolean {
    const mutability = data.length < 4 ? undefined : this.#functions.get(selectorIn(data))?.abi.stateMutability
    return mutability === 'view' || mutability === 'pure'
  }

  /** Runs one call and returns its encoded result. The registry has checked the kind of call and made a checkpoint. */
  run(execution: Execution, message: ModuleMessage): Uint8Array {
    const { data } = message
    execution.gas.charge(gasPrices.dispatch + gasPrices.word * Math.ceil(data.length / 32))
    require(data.length >= 4, `${this.name}: no function selector`)
    const wanted = this.#functions.get(selectorIn(data))
    require(wanted, `${this.name}: unknown function ${bytesToHex(data.subarray(0, 4))}`)
    const { abi } = wanted
    require(message.value === 0n || abi.stateMutability === 'payable', `${this.name}.${abi.name} takes no tokens`)
    require(!message.isStatic || this.isView(data), `${this.name}.${abi.name} writes: not in a static call`)
    execution.gas.charge(wanted.gas)
    const values = wanted.inputs.decode(data.subarray(4))
    const context = this.#context(execution, message.caller.toLowerCase() as Address, message.value)
    const result = wanted.handler(context, ...(values as never[]))
    const { outputs } = abi
    const results = outputs.length === 0 ? [] : outputs.length === 1 ? [result] : (result as unknown[])
    const output = wanted.outputs.encode(results)
    execution.gas.charge(gasPrices.word * Math.ceil(output.length / 32))
    return output
  }

  #context(execution: Execution, caller: Address, value: bigint): AnyContext {
    const { address } = this
    const call: CallScope = { execution, address, module: this }
    const variables = new this.#variables(execution.slotsOf(address))
    const emit = new this.#emitters(call)
    return new CallContext(call, caller, value, variables, emit, this.#errors) as never
  }

  /** The services as functions of their arguments, bound to one call: what `ask` gives. */
  answer(execution: Execution, caller: Address): Services {
    const known = execution.answers.get(this)?.get(caller)
    if (known) return known as Services
    this.#answers ??= answersClass(this.#services)
    const bound = new this.#answers(this.#context(execution, caller, 0n))
    const answers = execution.answers.get(this) ?? new Map<Address, unknown>()
    execution.answers.set(this, answers.set(caller, bound))
    return bound as Services
  }

  #parse(signature: string): unknown {
    return parseAbiItem([signature, ...(this.definition.structs ?? [])] as never)
  }
}

/**
 * Defines a protocol module: a native precompile with a Solidity ABI whose only memory is its own account's slots.
 *
 * ```ts
 * export const counter = module({
 *   name: 'Counter',
 *   address: '0x0000000000000000000000000000000000000cff',
 *   storage: { countOf: dict(address, u64) },
 *   events: { Counted: 'event Counted(address indexed who, uint64 count)' },
 * })
 *   .fn('function count(uint64 by) returns (uint64 count)', 0, (c, by) => {
 *     const count = c.s.countOf.get(c.caller) + by
 *     c.s.countOf.set(c.caller, count)
 *     c.emit.Counted(c.caller, count)
 *     return count
 *   })
 *   .view('function countOf(address who) view returns (uint64)', (c, who) => c.s.countOf.get(who))
 * ```
 */
export function module<
  const Name extends string,
  Storage extends StorageFields,
  // biome-ignore lint/complexity/noBannedTypes: no events
  const Events extends Signatures = {},
  // biome-ignore lint/complexity/noBannedTypes: no errors
  const Errors extends Signatures = {},
  const S extends Structs = readonly [],
>(
  definition: ModuleDefinition<Name, Storage, Events, Errors, S>,
): Module<Name, Storage, Events, Errors, S, readonly []> {
  return new Module(definition)
}

/** Where a module's account keeps the number of the next epoch or era that its hook is called for: no variable is there. */
function hookSlot(period: 'epoch' | 'era'): bigint {
  return BigInt(bytesToHex(keccak256(utf8Encode(`cumulus.hook.${period}`))))
}

/** A class whose getters bind the variables: only those that a call uses are made. */
function variablesClass<Storage extends StorageFields>(storage: Storage): new (port: SlotPort) => StorageView<Storage> {
  class Variables {
    readonly port: SlotPort
    constructor(port: SlotPort) {
      this.port = port
    }
  }
  for (const [name, { type, slot, offset }] of layOut(storage).places) {
    Object.defineProperty(Variables.prototype, name, {
      get(this: Variables) {
        return type.bind(this.port, BigInt(slot), offset)
      },
    })
  }
  return Variables as never
}

/** What the parts of a context share. */
interface CallScope {
  readonly execution: Execution
  readonly address: Address
  readonly module: AnyModule
}

/**
 * One object per call with methods on a prototype: a closure for each method, event and service was a tenth of what a
 * call took.
 */
class CallContext {
  readonly caller: Address
  readonly value: bigint
  readonly address: Address
  readonly s: object
  readonly emit: object
  readonly error: object
  readonly block: BlockContext
  readonly #call: CallScope

  constructor(call: CallScope, caller: Address, value: bigint, variables: object, emit: object, errors: object) {
    this.#call = call
    this.caller = caller
    this.value = value
    this.address = call.address
    this.s = variables
    this.emit = emit
    this.error = errors
    this.block = call.execution.block
  }

  get origin(): Address {
    return this.#call.execution.origin
  }

  get params(): Params {
    return this.block.params
  }

  ask(other: Askable<unknown>): unknown {
    // biome-ignore lint/suspicious/noExplicitAny: any module may be asked, and only modules are askable
    return (other as Module<any, any, any, any, any, any, any>).answer(this.#call.execution, this.address)
  }

  transfer(to: Address, amount: bigint): void {
    this.#call.execution.transfer(this.address, to, amount)
  }

  balance(): bigint {
    const { gas, state } = this.#call.execution
    gas.charge(gasPrices.warmLoad)
    return state.getBalance(this.address)
  }

  issue(amount: bigint): void {
    this.#issue(amount, 1n)
  }

  burn(amount: bigint): void {
    this.#issue(amount, -1n)
  }

  charge(gas: number): void {
    this.#call.execution.gas.charge(gas)
  }

  gasUsed(): number {
    return this.#call.execution.gas.used
  }

  codeOf(account: Address): Uint8Array {
    const { gas, state } = this.#call.execution
    gas.charge(gasPrices.coldLoad)
    return state.getCode(account)
  }

  #issue(amount: bigint, sign: 1n | -1n): void {
    const { execution, address, module } = this.#call
    if (module.definition.issues !== true) throw new Error(`${module.name} does not issue tokens`)
    if (amount < 0n) throw new RangeError(`an amount of ${amount} wei`)
    execution.issue(address, sign * amount)
  }
}

/** A class with a method for each event. */
function emittersClass(events: Readonly<Record<string, EventEncoder>>): new (call: CallScope) => object {
  class Emitters {
    readonly call: CallScope
    constructor(call: CallScope) {
      this.call = call
    }
  }
  for (const [name, encode] of Object.entries(events)) {
    Object.defineProperty(Emitters.prototype, name, {
      value(this: Emitters, ...values: unknown[]) {
        const { execution, address } = this.call
        const { topics, data } = encode(values)
        execution.log({ address, topics, data })
      },
    })
  }
  return Emitters
}

/** A class with a getter for each service. What it gives needs no `this`, so that modules may take it apart. */
function answersClass(
  services: Readonly<Record<string, (context: never, ...values: never[]) => unknown>>,
): new (
  context: AnyContext,
) => object {
  class Answers {
    readonly context: AnyContext
    constructor(context: AnyContext) {
      this.context = context
    }
  }
  for (const [name, handler] of Object.entries(services)) {
    Object.defineProperty(Answers.prototype, name, {
      get(this: Answers) {
        const context = this.context as never
        return (...values: never[]) => handler(context, ...values)
      },
    })
  }
  return Answers
}

type EventEncoder = (values: readonly unknown[]) => { topics: Uint8Array[]; data: Uint8Array }

function compileEvent(event: AbiEvent): EventEncoder {
  const signature = keccak256(utf8Encode(canonical(event)))
  const indexed: { index: number; codec: Codec }[] = []
  const plain: number[] = []
  for (const [index, input] of event.inputs.entries()) {
    if (!input.indexed) {
      plain.push(index)
      continue
    }
    const codec = compileParameter(input)
    if (codec.dynamic || codec.headBytes !== 32) throw new Error(`${event.name}.${input.name}: index value types only`)
    indexed.push({ index, codec })
  }
  const data = compileTuple(plain.map((index) => event.inputs[index]!))
  return (values) => ({
    topics: [signature, ...indexed.map(({ index, codec }) => encodeWord(codec, values[index]))],
    data: data.encode(plain.map((index) => values[index])),
  })
}

function compileError(error: AbiError): (...values: unknown[]) => Revert {
  const selector = keccak256(utf8Encode(canonical(error))).subarray(0, 4)
  const codec = compileTuple(error.inputs)
  return (...values) => {
    const encoded = codec.encode(values)
    const data = new Uint8Array(4 + encoded.length)
    data.set(selector)
    data.set(encoded, 4)
    return new Revert(`${error.name}(${values.join(', ')})`, data)
  }
}

/** `name(type,type)`, as it is hashed. */
function canonical(item: { readonly name: string; readonly inputs: readonly AbiParameter[] }): string {
  return `${item.name}(${item.inputs.map(canonicalType).join(',')})`
}

function canonicalType(parameter: AbiParameter): string {
  if (!parameter.type.startsWith('tuple')) return parameter.type
  const { components } = parameter as { components: readonly AbiParameter[] }
  return `(${components.map(canonicalType).join(',')})${parameter.type.slice('tuple'.length)}`
}

/** First four bytes of the hash of a function's signature, as a number. */
function selectorOf(item: AbiFunction): number {
  return selectorIn(keccak256(utf8Encode(canonical(item))))
}

function selectorIn(data: Uint8Array): number {
  return ((data[0]! << 24) | (data[1]! << 16) | (data[2]! << 8) | data[3]!) >>> 0
}

import type { Operations } from '../../database/operations.js'
import { InvalidArgumentError } from '../../errors.js'
import type { KeySpace } from '../../keys.js'
import type { BreakerRepository } from '../../repositories/breaker-repository.js'
import type { Locks } from '../locks/lock-provider.js'
import type { CircuitContext } from './circuit-breaker.js'
import { CircuitMirror } from './circuit-mirror.js'
import { type CircuitBreakerOptions, type CircuitSettings, resolveCircuitSettings } from './circuit-options.js'
import { CircuitProber, permitKey } from './circuit-prober.js'
import { newReporter } from './circuit-view.js'

/** What all breakers of one adapter work with. */
export interface RegistryContext {
  readonly repository: BreakerRepository
  readonly operations: Operations
  readonly permits: Locks
  /** Names this process. */
  readonly instance: string
  /** Told of a circuit that looks different from here. */
  readonly onChange: (storedKey: string) => void
}

// From so many circuits on, idle ones are looked for as new ones come.
const MANY = 1_000

/** The circuits this process knows, one for each key. */
export class CircuitRegistry {
  readonly #context: RegistryContext
  readonly #keys: KeySpace
  readonly #circuits = new Map<string, CircuitContext>()
  #sweepAt = MANY

  constructor(context: RegistryContext, keys: KeySpace) {
    this.#context = context
    this.#keys = keys
  }

  /**
   * The circuit of this key, new or known.
   *
   * @throws {@link InvalidArgumentError} also when it is known with other options.
   */
  get(key: string, options: CircuitBreakerOptions): CircuitContext {
    const settings = resolveCircuitSettings(options)
    const storedKey = this.#keys.toStored(key)
    let circuit = this.#circuits.get(storedKey)
    if (circuit === undefined) {
      circuit = this.#create(key, storedKey, settings)
      this.#sweep()
      this.#circuits.set(storedKey, circuit)
    } else assertSame(key, circuit.mirror.settings, settings)
    if (options.onTransition !== undefined) circuit.mirror.onTransition = options.onTransition
    return circuit
  }

  /** The circuit as it is known now: one that was not used for long may have been forgotten, and is known again. */
  current(circuit: CircuitContext): CircuitContext {
    const known = this.#circuits.get(circuit.storedKey)
    if (known !== undefined) return known
    this.#circuits.set(circuit.storedKey, circuit)
    return circuit
  }

  /** The circuit was changed other than through its breaker. */
  changed(storedKey: string): void {
    void this.#circuits.get(storedKey)?.mirror.refreshAnew()
  }

  /** Reports what has been counted, for the last time. */
  async close(): Promise<void> {
    await Promise.all([...this.#circuits.values()].map(({ mirror }) => mirror.close()))
  }

  #create(key: string, storedKey: string, settings: CircuitSettings): CircuitContext {
    const { repository, operations, permits, instance, onChange } = this.#context
    this.#keys.toStored(permitKey(key, settings.permittedProbes - 1))
    const mirror = new CircuitMirror(key, storedKey, settings, {
      repository,
      operations,
      instance,
      reporter: newReporter(instance),
      onChange: () => onChange(storedKey),
    })
    const prober = new CircuitProber(mirror, storedKey, { repository, operations, permits, instance })
    return { mirror, prober, storedKey, repository, operations }
  }

  // A service may have a circuit for each of its customers.
  #sweep(): void {
    if (this.#circuits.size < this.#sweepAt) return
    for (const [storedKey, { mirror }] of this.#circuits) {
      if (mirror.isIdle()) this.#circuits.delete(storedKey)
    }
    this.#sweepAt = Math.max(MANY, this.#circuits.size * 2)
  }
}

function assertSame(key: string, known: CircuitSettings, given: CircuitSettings): void {
  for (const name of Object.keys(known) as (keyof CircuitSettings)[]) {
    if (known[name] === given[name]) continue
    throw new InvalidArgumentError(
      `options.${name}: expected ${known[name]}, with which the circuit ${JSON.stringify(key)} is used already, got ${given[name]}`,
    )
  }
}

import fc from 'fast-check'
import type { Lock, MySQLAdapter } from 'goscope-mysql'
import { expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

/** What must be true of one key. */
interface ModelLock {
  owner: string | undefined
  fence: number
}

type Model = Map<string, ModelLock>

interface Real {
  readonly state: MySQLAdapter
  readonly handles: Map<string, Lock>
  /** Ends the time of a lock behind the library's back. */
  expire(key: string): Promise<void>
  /** Deletes the rows that nobody holds, as the clean-up does after a day. */
  cleanUp(): Promise<void>
}

const longTtl = 600_000
const modelOf = (model: Model, key: string): ModelLock => {
  const known = model.get(key) ?? { owner: undefined, fence: 0 }
  model.set(key, known)
  return known
}

class Acquire implements fc.AsyncCommand<Model, Real> {
  readonly key: string
  readonly owner: string

  constructor(key: string, owner: string) {
    this.key = key
    this.owner = owner
  }

  check = () => true
  async run(model: Model, { state, handles }: Real): Promise<void> {
    const lock = modelOf(model, this.key)
    const handle = await state.acquire(this.key, longTtl, this.owner)
    if (lock.owner !== undefined && lock.owner !== this.owner) {
      expect(handle).toBeNull()
      return
    }
    expect(handle).not.toBeNull()
    if (lock.owner === this.owner) expect(handle?.fence).toBe(lock.fence)
    else expect(handle?.fence).toBeGreaterThan(lock.fence)
    lock.owner = this.owner
    lock.fence = handle?.fence ?? 0
    handles.set(`${this.key} ${this.owner}`, handle as Lock)
  }
  toString = () => `acquire(${this.key}, ${this.owner})`
}

class UseHandle implements fc.AsyncCommand<Model, Real> {
  readonly key: string
  readonly owner: string
  readonly use: 'release' | 'extend' | 'isValid'

  constructor(key: string, owner: string, use: 'release' | 'extend' | 'isValid') {
    this.key = key
    this.owner = owner
    this.use = use
  }

  check = () => true
  async run(model: Model, { handles }: Real): Promise<void> {
    const handle = handles.get(`${this.key} ${this.owner}`)
    if (handle === undefined) return
    const lock = modelOf(model, this.key)
    const isHeld = lock.owner === this.owner && lock.fence === handle.fence
    if (this.use === 'extend') expect(await handle.extend(longTtl)).toBe(isHeld)
    if (this.use === 'isValid') expect(await handle.isValid()).toBe(isHeld)
    if (this.use === 'release') {
      await handle.release()
      if (isHeld) lock.owner = undefined
    }
  }
  toString = () => `${this.use}(${this.key}, ${this.owner})`
}

class OnKey implements fc.AsyncCommand<Model, Real> {
  readonly key: string
  readonly act: 'expire' | 'forceRelease' | 'cleanUp' | 'inspect'

  constructor(key: string, act: 'expire' | 'forceRelease' | 'cleanUp' | 'inspect') {
    this.key = key
    this.act = act
  }

  check = () => true
  async run(model: Model, real: Real): Promise<void> {
    const lock = modelOf(model, this.key)
    if (this.act === 'inspect') {
      const shown = await real.state.locks.inspect(this.key)
      expect(shown?.owner).toBe(lock.owner)
      if (shown !== null) expect(shown.fence).toBe(lock.fence)
      return
    }
    if (this.act === 'cleanUp') await real.cleanUp()
    else {
      if (this.act === 'expire') await real.expire(this.key)
      else await real.state.forceRelease(this.key)
      lock.owner = undefined
    }
  }
  toString = () => `${this.act}(${this.key})`
}

const keys = fc.constantFrom('a', 'A', 'a ')
const owners = fc.constantFrom('me', 'you', 'they')
const commands = fc.commands(
  [
    fc.tuple(keys, owners).map(([key, owner]) => new Acquire(key, owner)),
    fc
      .tuple(keys, owners, fc.constantFrom('release' as const, 'extend' as const, 'isValid' as const))
      .map(([key, owner, use]) => new UseHandle(key, owner, use)),
    fc
      .tuple(keys, fc.constantFrom('expire' as const, 'forceRelease' as const, 'cleanUp' as const, 'inspect' as const))
      .map(([key, act]) => new OnKey(key, act)),
  ],
  { maxCommands: 40 },
)

onEveryServer('locks and their model', (context) => {
  it('agree whatever several owners do in whatever order', async () => {
    let runs = 0
    await context.adapter()
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const keyPrefix = `run ${++runs}:`
        const state = await context.adapter({ keyPrefix })
        const stored = (key: string) => `${keyPrefix}lock:${key.endsWith(' ') ? `${key}␠` : key}`
        const real: Real = {
          state,
          handles: new Map(),
          async expire(key) {
            await context.admin.query(
              'update go_goscope_locks set expires_at = utc_timestamp(3) - interval 1 second where `key` = ?',
              [stored(key)],
            )
          },
          async cleanUp() {
            await context.admin.query(
              'delete from go_goscope_locks where expires_at < utc_timestamp(3) - interval 1 microsecond or owner is null',
            )
          },
        }
        await fc.asyncModelRun(() => ({ model: new Map() as Model, real }), sequence)
      }),
      { numRuns: 25 },
    )
  })
})

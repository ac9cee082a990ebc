import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLAdapter } from 'goscope-mysql'
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

onEveryServer('values made on demand, at the edges', (context) => {
  let state: MySQLAdapter
  const unhandled = vi.fn()

  beforeAll(async () => {
    state = await context.adapter()
  })
  beforeEach(() => {
    process.on('unhandledRejection', unhandled)
  })
  afterEach(() => {
    process.off('unhandledRejection', unhandled)
    unhandled.mockClear()
  })

  /** Whether somebody is making the value. */
  const held = async (key: string) => {
    const [rows] = await context.admin.query<RowDataPacket[]>('select owner from go_goscope_locks where `key` = ?', [
      `cache:${key}`,
    ])
    return rows[0]?.owner != null
  }
  const makeStale = async (key: string) => {
    const options = { ttl: 20, stale: 60_000 }
    await state.cache.getOrSet(key, () => 'old', options)
    await sleep(60)
    return options
  }

  it('are not made anew by who found them stale while another was at it', async () => {
    const options = await makeStale('refreshed')
    const pool = context.pool({ connectionLimit: 1 })
    const late = new MySQLAdapter(pool).cache
    await late.has('refreshed')
    const refresh = new EventEmitter()
    await state.cache.getOrSet('refreshed', async () => (await once(refresh, 'finished'))[0], options)
    await expect.poll(() => held('refreshed')).toBe(true)

    // Lets the late one look, but not act before the other is done.
    const looking = late.getOrSet('refreshed', () => 'newer', options)
    const connection = await pool.getConnection()
    expect(await looking).toBe('old')
    refresh.emit('finished', 'new')
    await expect.poll(() => held('refreshed')).toBe(false)
    connection.release()
    await late.has('refreshed')
    await sleep(50)
    expect(await state.get('refreshed')).toBe('new')
  })

  it('survive a callback that throws', async () => {
    const options = await makeStale('told')
    const onRefreshError = vi.fn(() => {
      throw new Error('the callback failed too')
    })
    const fail = () => Promise.reject(new Error('no'))
    expect(await state.cache.getOrSet('told', fail, { ...options, onRefreshError })).toBe('old')
    await expect.poll(() => onRefreshError).toHaveBeenCalledOnce()
    await sleep(50)
    expect(unhandled).not.toHaveBeenCalled()
  })

  it('are waited for by each caller for as long as it wants', async () => {
    const other = await context.adapter()
    const making = other.cache.getOrSet('awaited', () => sleep(600, 'made'))
    await expect.poll(() => held('awaited')).toBe(true)
    const impatient = state.cache.getOrSet('awaited', () => 'twice', { wait: 0 }).catch((error) => error.name)
    const patient = state.cache.getOrSet('awaited', () => 'twice')
    expect(await Promise.all([impatient, patient, making])).toEqual(['ContentionError', 'made', 'made'])
    const later = other.cache.getOrSet('awaited later', () => sleep(600, 'made'))
    await expect.poll(() => held('awaited later')).toBe(true)
    const events: string[] = []
    await Promise.all([
      state.cache.getOrSet('awaited later', () => 'twice').then((value) => events.push(value)),
      state.cache.getOrSet('awaited later', () => 'twice', { wait: 0 }).catch((error) => events.push(error.name)),
      later,
    ])
    expect(events).toEqual(['ContentionError', 'made'])
  })

  it('are not replaced by an older one whose maker got no connection until another had taken over', async () => {
    const pool = context.pool({ connectionLimit: 1 })
    const { cache } = new MySQLAdapter(pool)
    let connection: PoolConnection | undefined
    const makeOld = async () => {
      connection = await pool.getConnection()
      return 'old'
    }
    const making = cache.getOrSet('overtaken', makeOld, { lockTtl: 300 })
    await expect.poll(() => connection).toBeDefined()
    expect(await state.cache.getOrSet('overtaken', () => 'new')).toBe('new')
    connection?.release()
    expect(await making).toBe('old')
    expect(await state.get('overtaken')).toBe('new')
  })

  it('may be as large as any other', async () => {
    const large = `🏦 ${'x'.repeat(1_000_000)}`
    expect(await state.cache.getOrSet('large', () => large)).toBe(large)
    expect(await state.cache.getOrSet('large', () => 'another')).toBe(large)
  })
})

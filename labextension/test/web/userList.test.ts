import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../src/api/errors';
import type { ManagedUser, UserPage, UsersWanted } from '../../src/web/management';
import { Poll } from '../../src/web/poll';
import { PAGE_SIZE, UserList } from '../../src/web/userList';
import { FakeClock, settle } from '../support/fakes';

function user(email: string): ManagedUser {
  return {
    id: email, email, is_superuser: false, groups: [], used: 0, quota: null, own_quota: false, ntokens: 0, nshares: 0
  }; // prettier-ignore
}

/** Some users in memory. */
class Users {
  emails = Array.from({ length: 120 }, (_, n) => `u${String(n).padStart(3, '0')}@x.org`);
  asked: UsersWanted[] = [];
  failure: Error | null = null;

  async users(wanted: UsersWanted): Promise<UserPage> {
    this.asked.push(wanted);
    if (this.failure) {
      throw this.failure;
    }
    const fit = this.emails.filter(email => email.includes(wanted.filter ?? ''));
    const behind = fit.filter(email => email > (wanted.after ?? ''));
    const page = behind.slice(0, wanted.limit);
    const next = behind.length > page.length ? (page.at(-1) ?? null) : null;
    return { users: page.map(user), total: fit.length, next, quota: 5 };
  }
}

function made(): { users: Users; clock: FakeClock; list: UserList } {
  const users = new Users();
  const clock = new FakeClock();
  return { users, clock, list: new UserList(users, { clock, isHidden: () => false }) };
}

test('pages are turned forth and back', async () => {
  const { list } = made();
  await list.refresh();
  assert.deepEqual([list.users?.length, list.total, list.first, list.hasPrevious, list.hasNext], [PAGE_SIZE, 120, 1, false, true]);
  await list.next();
  await list.next();
  assert.deepEqual([list.users?.length, list.first, list.hasNext], [20, 101, false]);
  await list.next();
  assert.equal(list.first, 101);
  await list.previous();
  assert.deepEqual([list.first, list.users?.[0]?.email], [51, 'u050@x.org']);
  list.dispose();
});

test('typing asks once, and begins at the first page', async () => {
  const { list, users, clock } = made();
  await list.refresh();
  await list.next();
  const before = users.asked.length;
  for (const text of ['u', 'u0', 'u01']) {
    list.find(text);
  }
  await clock.turn(300);
  assert.deepEqual(users.asked.slice(before), [{ filter: 'u01', after: undefined, limit: PAGE_SIZE }]);
  assert.deepEqual([list.total, list.first], [10, 1]);
  list.dispose();
});

test('a page whose users are gone gives way to the one before', async () => {
  const { list, users } = made();
  await list.refresh();
  await list.next();
  await list.next();
  users.emails = users.emails.slice(0, 100);
  await list.refresh();
  assert.deepEqual([list.first, list.users?.length, list.hasNext], [51, 50, false]);
  list.dispose();
});

test('what was known stays when it can not be read again', async () => {
  const { list, users, clock } = made();
  await list.refresh();
  users.failure = new ApiError({ message: 'the server does not answer' });
  await clock.turn(5_000);
  assert.equal(list.problem, 'The server does not answer.');
  assert.equal(list.users?.length, PAGE_SIZE);
  users.failure = null;
  await clock.turn(5_000);
  assert.equal(list.problem, null);
  list.dispose();
  assert.equal(clock.ntimers, 0);
});

test('nothing is read while nobody can see it', async () => {
  const clock = new FakeClock();
  let isHidden = true;
  let reads = 0;
  const poll = new Poll(async () => (reads += 1), 1_000, { clock, isHidden: () => isHidden });
  await poll.refresh();
  await clock.turn(10_000);
  assert.equal(reads, 1);
  isHidden = false;
  await clock.turn(1_000);
  assert.equal(reads, 2);
  poll.dispose();
});

test('a late answer does not replace a newer one', async () => {
  const answers: ((value: number) => void)[] = [];
  const poll = new Poll(() => new Promise<number>(resolve => answers.push(resolve)), 1_000, {
    clock: new FakeClock(),
    isHidden: () => false
  });
  void poll.refresh();
  void poll.refresh();
  answers[1]?.(2);
  await settle();
  answers[0]?.(1);
  await settle();
  assert.equal(poll.value, 2);
  poll.dispose();
});

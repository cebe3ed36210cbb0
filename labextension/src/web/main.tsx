/** The page of a subscriber: parts are made here and given to one another. */
import { createRoot } from 'react-dom/client';

import { Api } from '../api/client';
import { Account } from './account';
import { App } from './App';
import { WebHost } from './host';
import { Router } from './router';
import { readSettings } from './settings';
import { readTheme, useTheme } from './theme';

useTheme(readTheme());
const base = new URL('./', document.baseURI).toString();
const settings = readSettings(document, base);
const api = new Api(new WebHost(), base);
const account = new Account(api, settings.login);
const router = new Router(base, window);
const goal = document.getElementById('caterva2');
if (goal) {
  createRoot(goal).render(<App api={api} account={account} router={router} settings={settings} />);
}

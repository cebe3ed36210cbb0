"""The configuration: which source wins, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from caterva2.config import settings
from caterva2.config.load import load_broker, load_client, load_publisher, load_subscriber
from caterva2.config.schema import BrokerConfig, ClientConfig, PublisherConfig, SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import ConfigError

LOADERS = {"broker": load_broker, "publisher": load_publisher, "subscriber": load_subscriber}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text, name="caterva2.toml"):
    Path(name).write_text(text, encoding="utf-8")


def complaint(load, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)
    return str(caught.value)


class TestDefaults:
    def test_of_the_broker(self):
        assert load_broker([], environ={}) == BrokerConfig(
            http=Address("localhost", 8000), statedir=Path("_caterva2/bro"), loglevel="warning", secret=None
        )

    def test_of_the_publisher(self):
        assert load_publisher(["foo"], environ={}) == PublisherConfig(
            name="foo",
            root="data",
            broker=Address("localhost", 8000),
            http=Address("localhost", 8001),
            statedir=Path("_caterva2/pub"),
        )

    def test_of_the_subscriber(self):
        assert load_subscriber([], environ={}) == SubscriberConfig(
            broker=None,
            http=Address("localhost", 8002),
            statedir=Path("_caterva2/sub"),
            urlbase="http://localhost:8002",
            cache=20 * 1024**3,
            login=False,
            register=False,
            quota=None,
            maxusers=None,
        )

    def test_of_a_client(self):
        assert load_client(environ={}) == ClientConfig(
            urlbase="http://localhost:8002", username=None, password=None
        )

    def test_an_id_has_a_state_directory_of_its_own(self):
        assert load_publisher(["--id", "a", "foo"], environ={}).statedir == Path("_caterva2/pub.a")
        assert load_subscriber(["--id", "a"], environ={}).statedir == Path("_caterva2/sub.a")

    @pytest.mark.parametrize("section", ["broker", "publisher", "subscriber"])
    def test_stand_in_the_help_texts_as_they_are(self, section):
        config = LOADERS[section](["x"] if section == "publisher" else [], environ={})

        written = {s.key: s.default for s in settings.SETTINGS if s.section == section and s.default}

        assert {key: settings.from_text(_setting(section, key), text) for key, text in written.items()} == {
            key: getattr(config, key) for key in written
        }


def _setting(section, key):
    return next(s for s in settings.SETTINGS if (s.section, s.key) == (section, key))


class TestPrecedence:
    def test_arguments_go_before_environment_before_file_before_default(self):
        write('[broker]\nhttp = "file:1"\nloglevel = "error"\nstatedir = "from-file"\n')
        environ = {"CATERVA2_BROKER_HTTP": "env:1", "CATERVA2_BROKER_LOGLEVEL": "info"}

        config = load_broker(["--http", "args:1"], environ=environ)

        assert (str(config.http), config.loglevel, config.statedir) == ("args:1", "info", Path("from-file"))

    def test_an_empty_variable_is_none(self):
        assert load_broker([], environ={"CATERVA2_BROKER_HTTP": ""}).http.port == 8000

    def test_the_file_can_be_another(self):
        write('[broker]\nhttp = "a:1"\n')
        write('[broker]\nhttp = "b:1"\n', "other.toml")

        assert str(load_broker(["--conf", "other.toml"], environ={}).http) == "b:1"

    def test_a_file_that_is_not_there_changes_nothing(self):
        assert load_broker(["--conf", "none.toml"], environ={}) == load_broker([], environ={})

    def test_everybody_reads_the_address_and_the_secret_of_the_broker(self):
        write('[broker]\nhttp = "*:3104"\nsecret = "s3"\n')

        for config in (load_publisher(["x"], environ={}), load_subscriber([], environ={})):
            assert (str(config.broker), config.secret) == ("localhost:3104", "s3")

    def test_the_secret_can_come_from_the_environment(self):
        assert load_broker([], environ={"CATERVA2_BROKER_SECRET": "s3"}).secret == "s3"

    def test_an_empty_broker_runs_the_subscriber_standalone(self):
        write('[broker]\nhttp = "localhost:3104"\n')

        assert load_subscriber(["--broker", ""], environ={}).broker is None

    def test_positional_arguments_go_before_the_file(self):
        write('[publisher]\nname = "foo"\nroot = "here"\n')

        assert load_publisher([], environ={}).name == "foo"
        config = load_publisher(["bar", "there"], environ={})
        assert (config.name, config.root) == ("bar", "there")

    def test_a_dotenv_file_adds_what_the_environment_lacks(self):
        write(
            "# comment\nOTHER=1\nbroken line\n"
            "export CATERVA2_BROKER_HTTP = 'a:1'\nCATERVA2_BROKER_LOGLEVEL=info\n",
            ".env",
        )

        config = load_broker([], environ={"CATERVA2_BROKER_LOGLEVEL": "debug"})

        assert (str(config.http), config.loglevel) == ("a:1", "debug")

    def test_all_settings_of_a_subscriber_come_from_the_file(self):
        write(
            """[subscriber]
            http = "unix:/run/sub"
            statedir = "s"
            loglevel = "DEBUG"
            urlbase = "https://lab.example.org/cat/"
            cache = "1.5 GiB"
            origins = ["https://a.example", "http://b.example:80"]
            login = false
            quota = "10G"
            maxusers = 5
            """
        )

        assert load_subscriber([], environ={}) == SubscriberConfig(
            http=Address(unix_path="/run/sub"),
            statedir=Path("s"),
            loglevel="debug",
            urlbase="https://lab.example.org/cat",
            cache=3 * 1024**3 // 2,
            origins=("https://a.example", "http://b.example:80"),
            quota=10 * 1024**3,
            maxusers=5,
        )

    def test_lists_and_numbers_can_come_from_the_environment(self):
        environ = {
            "CATERVA2_SUBSCRIBER_ORIGINS": "https://a.example, https://b.example",
            "CATERVA2_SUBSCRIBER_MAXUSERS": "7",
            "CATERVA2_SUBSCRIBER_LOGIN": "no",
            "CATERVA2_SUBSCRIBER_PROXIES": "10.0.0.0/8, fd00::1",
        }

        config = load_subscriber([], environ=environ)

        assert (config.origins, config.maxusers) == (("https://a.example", "https://b.example"), 7)
        assert config.proxies == ("10.0.0.0/8", "fd00::1")

    def test_zero_is_no_limit(self):
        write("[subscriber]\nquota = 0\nmaxusers = 0\n")

        config = load_subscriber([], environ={})

        assert (config.quota, config.maxusers) == (None, None)


class TestIds:
    FILE = """
        [publisher]
        http = "plain:1"
        statedir = "plain"
        name = "plain"
        [publisher.foo]
        http = "foo:1"
        root = "root-foo"
        [publisher.bar]
        nonsense = 1
    """

    def test_an_id_section_stands_over_the_plain_one(self):
        write(self.FILE)

        config = load_publisher(["--id", "foo"], environ={})

        assert (config.id, str(config.http), config.root, config.name) == (
            "foo",
            "foo:1",
            "root-foo",
            "plain",
        )

    def test_a_state_directory_is_not_inherited(self):
        write(self.FILE)

        assert load_publisher(["--id", "foo"], environ={}).statedir == Path("_caterva2/pub.foo")

    def test_without_an_id_the_plain_section_counts(self):
        write(self.FILE)

        config = load_publisher([], environ={})

        assert (str(config.http), config.statedir) == ("plain:1", Path("plain"))

    def test_an_error_in_an_id_section_names_it(self):
        write(self.FILE)

        text = complaint(load_publisher, ["--id", "bar"], environ={})

        assert text.startswith("caterva2.toml: publisher.bar.nonsense: unknown key")

    @pytest.mark.parametrize("text", [".", "..", "a/b", "a.b", "a\0"], ids=repr)
    def test_an_id_that_could_leave_the_state_directory_is_refused(self, text):
        assert complaint(load_publisher, ["--id", text, "x"], environ={}).startswith("--id: expected a name")


class TestComplaints:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[broker]\nhtpp = 'a:1'", "broker.htpp: unknown key, expected one of http, loglevel, "
                                       "secret, statedir (did you mean http?)"),
            ("[brokr]", "brokr: unknown section, expected one of broker, client, jupyter, mail, "
                        "publisher, subscriber (did you mean broker?)"),
            ("broker = 5", "broker: expected a section [broker], found 5"),
            ("[broker]\nhttp = 5", 'broker.http: expected an address such as "localhost:8000", found 5'),
            ("[broker]\nloglevel = 'loud'", "broker.loglevel: expected one of debug, info, warning, "
                                            "error, critical, found 'loud'"),
            ("[broker]\nstatedir = []", "broker.statedir: expected a path, found []"),
            ("[broker]\nhttp = 'a:1'\nhttp = 'b:1'", "expected TOML, found a syntax error: "),
            ("[broker", "expected TOML, found a syntax error: "),
            ("[broker]\nsecret = 'hush hush'", "broker.secret: expected a text of printable ASCII "
                                               "without blanks, found something else"),
        ],
        ids=range(9),
    )  # fmt: skip
    def test_name_file_key_expected_and_found(self, text, message):
        write(text)

        said = complaint(load_broker, [], environ={})

        assert said.startswith(f"caterva2.toml: {message}")
        assert "\n" not in said

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('quota = "8 gigs"', "quota: expected a size such as \"8 GiB\", found '8 gigs'"),
            ("cache = true", 'cache: expected a size such as "8 GiB", found True'),
            ('maxusers = "5"', "maxusers: expected a whole number, 0 or more, found '5'"),
            ('login = "yes"', "login: expected true or false, found 'yes'"),
            ('urlbase = "localhost:8002"', 'urlbase: expected a URL such as "http://localhost:8002", '
                                           "found 'localhost:8002'"),
            ('origins = ["*"]', "origins: expected origins such as \"https://lab.example.org\", found '*'"),
            ("origins = 5", 'origins: expected a list of origins such as ["https://lab.example.org"], '
                            "found 5"),
            ('proxies = ["proxy.example"]', 'proxies: expected addresses or networks such as "10.0.0.0/8", '
                                            "found 'proxy.example'"),
            ("proxies = 5", 'proxies: expected a list of addresses such as ["10.0.0.0/8"], found 5'),
        ],
        ids=range(9),
    )  # fmt: skip
    def test_of_a_subscriber(self, line, message):
        write(f"[subscriber]\n{line}")

        assert complaint(load_subscriber, [], environ={}) == f"caterva2.toml: subscriber.{message}"

    def test_a_secret_does_not_show(self):
        assert "hush" not in complaint(load_broker, [], environ={"CATERVA2_BROKER_SECRET": "hush hush"})
        assert "hush" not in repr(load_broker([], environ={"CATERVA2_BROKER_SECRET": "hush"}))

    def test_name_the_option(self):
        assert complaint(load_broker, ["--http", "x"], environ={}).startswith("--http: expected an address")

    def test_name_the_argument(self):
        assert complaint(load_publisher, ["@public"], environ={}).startswith(
            "NAME: expected the name of a root"
        )

    def test_name_the_variable(self):
        said = complaint(load_broker, [], environ={"CATERVA2_BROKER_HTTP": "x"})

        assert said.startswith("CATERVA2_BROKER_HTTP: expected an address")

    def test_a_publisher_without_a_name_says_where_to_write_it(self):
        said = complaint(load_publisher, ["--id", "foo"], environ={})

        assert said == (
            "expected the name of the root, as NAME or publisher.foo.name in caterva2.toml; found none "
            "(run: cat2pub NAME ROOT)"
        )

    def test_a_broker_to_connect_to_needs_a_port(self):
        assert "port 0" in complaint(load_publisher, ["x", "--broker", "a:0"], environ={})

    @pytest.mark.parametrize("name", ["caterva2.toml", ".env"])
    def test_a_file_that_is_not_utf8_is_named(self, name):
        Path(name).write_bytes(b"[broker]\nhttp = '\xff'\n")

        assert complaint(load_broker, [], environ={}).startswith(f"{name}: expected UTF-8")

    @pytest.mark.parametrize("name", ["caterva2.toml", ".env"])
    def test_a_file_that_can_not_be_read_is_named(self, name):
        Path(name).mkdir()

        assert (
            complaint(load_broker, [], environ={})
            == f"{name}: expected a readable file, found: Is a directory"
        )

    def test_a_section_of_another_program_is_not_looked_into(self):
        write("[subscriber]\nnonsense = 1\n")

        assert load_broker([], environ={}) == BrokerConfig()


class TestLogin:
    def test_wanted_without_a_secret_is_refused(self):
        write("[subscriber]\nlogin = true\n")

        said = complaint(load_subscriber, [], environ={})

        assert said.startswith("subscriber.login: true needs a secret in CATERVA2_SECRET, found none")

    @pytest.mark.parametrize("place", ["environment", "dotenv"])
    def test_a_secret_switches_users_and_registration_on(self, place):
        environ = {"CATERVA2_SECRET": "s"} if place == "environment" else {}
        write("" if environ else "CATERVA2_SECRET=s\n", ".env")

        config = load_subscriber([], environ=environ)

        assert (config.login, config.register, config.auth_secret) == (True, True, "s")

    def test_registration_can_be_switched_off(self):
        write("[subscriber]\nregister = false\n")

        assert not load_subscriber([], environ={"CATERVA2_SECRET": "s"}).register

    def test_access_is_a_table_of_the_section_and_no_id(self):
        write('[subscriber.access]\n"*" = "users"\nlab = ["Ada@Example.org", "group:staff"]\n')

        config = load_subscriber([], environ={"CATERVA2_SECRET": "s"})

        assert config.access == {"*": "users", "lab": ("ada@example.org", "group:staff")}

    def test_access_of_an_id_stands_over_the_plain_one(self):
        write('[subscriber.access]\nlab = "users"\n[subscriber.a.access]\nlab = "all"\n')

        config = load_subscriber(["--id", "a"], environ={"CATERVA2_SECRET": "s"})

        assert config.access == {"lab": "all"}

    def test_access_can_stand_in_the_environment(self):
        environ = {
            "CATERVA2_SECRET": "s",
            "CATERVA2_SUBSCRIBER_ACCESS": "a=users; b = x@y.org group:z",
        }

        assert load_subscriber([], environ=environ).access == {"a": "users", "b": ("x@y.org", "group:z")}

    @pytest.mark.parametrize(
        "line", ['lab = "nobody"', 'lab = ["ada"]', "lab = true", '"@personal" = "users"', '"../x" = "all"']
    )
    def test_access_of_another_form_is_refused(self, line):
        write(f"[subscriber.access]\n{line}\n")

        assert "expected" in complaint(load_subscriber, [], environ={"CATERVA2_SECRET": "s"})

    def test_access_for_users_without_users_is_refused(self):
        write('[subscriber.access]\nlab = "users"\n')

        assert "need users" in complaint(load_subscriber, [], environ={})

    def test_mail_needs_a_server_and_a_sender(self):
        write('[mail]\nserver = "mail.example.org:587"\n')

        assert "mail.sender" in complaint(load_subscriber, [], environ={})

    def test_mail_password_is_not_shown(self):
        write('[mail]\nserver = "m:25"\nsender = "a@b.org"\nusername = "u"\npassword = "hush"\n')

        config = load_subscriber([], environ={})

        assert config.mail.password == "hush"
        assert "hush" not in repr(config)

    def test_switched_off_needs_no_secret(self):
        write("[subscriber]\nlogin = false\nregister = true\n")

        config = load_subscriber([], environ={"CATERVA2_SECRET": "s"})

        assert (config.login, config.register) == (False, False)


class TestClient:
    @pytest.mark.parametrize(
        ("text", "urlbase"),
        [
            ('url = "http://u:1"\nurlbase = "http://b:1"\nhttp = "h:1"', "http://u:1"),
            ('urlbase = "http://b:1/"\nhttp = "h:1"', "http://b:1"),
            ('http = "*:3126"', "http://localhost:3126"),
            ('http = "unix:/run/x"', "unix:/run/x"),
            ("", "http://localhost:8002"),
        ],
        ids=["url", "urlbase", "http", "socket", "default"],
    )
    def test_the_address_is_url_then_urlbase_then_http(self, text, urlbase):
        write(f"[subscriber]\n{text}")

        assert load_client(environ={}).urlbase == urlbase

    def test_a_variable_goes_before_the_file(self):
        write('[subscriber]\nurl = "http://u:1"\n')

        assert load_client(environ={"CATERVA2_SUBSCRIBER_HTTP": "h:1"}).urlbase == "http://h:1"

    def test_user_and_password_come_from_their_section(self):
        write('[client]\nusername = "ada@example.org"\npassword = "secret"\n', "my.toml")

        config = load_client("my.toml", environ={})

        assert (config.username, config.password) == ("ada@example.org", "secret")
        assert "secret" not in repr(config)

    def test_an_unknown_key_is_refused(self):
        write("[client]\nuser = 'x'\n")

        assert complaint(load_client, environ={}).startswith("caterva2.toml: client.user: unknown key")


@pytest.mark.parametrize("section", ["broker", "publisher", "subscriber"])
class TestCommandLine:
    @pytest.mark.parametrize("option", ["--help", "--version"])
    def test_help_and_version_work_with_a_broken_file(self, section, option, capsys):
        write("[[[")
        write("CATERVA2_SUBSCRIBER_LOGIN=true\n", ".env")

        with pytest.raises(SystemExit) as caught:
            LOADERS[section]([option], environ={})

        assert caught.value.code == 0
        assert capsys.readouterr().out

    def test_an_unknown_option_is_a_usage_error(self, section, capsys):
        with pytest.raises(SystemExit) as caught:
            LOADERS[section](["--htt", "a:1"], environ={})

        assert caught.value.code == 2
        assert "usage:" in capsys.readouterr().err

    def test_every_option_is_explained(self, section, capsys):
        with pytest.raises(SystemExit):
            LOADERS[section](["--help"], environ={})
        text = capsys.readouterr().out

        wanted = [s.option for s in settings.SETTINGS if s.section == section and s.option]

        assert [option for option in wanted if option not in text] == []
